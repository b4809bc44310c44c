/**
 * Which files of the dependencies a running Terrace may load: of 85 MB, 25. What is left out are types, sources of what
 * is compiled or bundled, programs for other platforms and for browsers, tests and texts; licences stay.
 */

/** Architectures by the name that Debian and container images have for them. */
export const ARCHITECTURES = { amd64: 'x64', arm64: 'arm64' } as const;
export type Architecture = keyof typeof ARCHITECTURES;

/** Packages of which no file is loaded: types, and the browser's half of `@azure/identity`. */
const UNUSED_PACKAGES = /^(@types\/|@azure\/msal-browser\/)/;
/** Folders for browsers and other runtimes, with tests, and with texts. */
const UNUSED_FOLDERS =
  /(^|\/)(tests?|__tests__|docs|examples?|benchmarks?|bench|\.github|man|typings|browser|react-native|workerd|edge-light)\//;
const LICENCE = /(^|\/)(licen[cs]e|notice|copying|copyright|thirdpartynotices?)[^/]*$/i;
const LOADED = /\.(js|cjs|mjs|json|node|wasm)$/;
const UNUSED_FILES = /((^|\/)\.[^/]+|\.min\.js|\.esm\.js|\.test\.[cm]?js|tsconfig[^/]*\.json)$/;
/** The native parts of LevelDB, for each platform and C library. */
const NATIVE = /(^|\/)prebuilds\/([^/]+)\/([^/]+)$/;

/** Whether a file is needed. Pure. @param path of the file, below `node_modules`, with `/` */
export function isNeeded(path: string, architecture: Architecture): boolean {
  const packagePath = path.replace(/^.*(?<=^|\/)node_modules\//, '');
  if (UNUSED_PACKAGES.test(packagePath)) return false;
  if (LICENCE.test(path)) return true;
  const inPackage = packagePath.replace(/^(@[^/]+\/)?[^/]+\//, '');
  const native = NATIVE.exec(inPackage);
  if (native) return native[2] === `linux-${ARCHITECTURES[architecture]}` && !native[3]?.includes('musl');
  return LOADED.test(inPackage) && !UNUSED_FOLDERS.test(inPackage) && !UNUSED_FILES.test(inPackage);
}
