import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/**
 * Builds the page: `node page/build.ts [--if-stale]`. Needs no network. The gateway serves what lies in `BUILT`
 * (services/gateway/page/page-files.ts): `index.html`, and files whose names contain a hash of their content, each with
 * a `.gz` beside it if that is smaller.
 */

const source = import.meta.dirname;
const root = dirname(source);
export const BUILT = join(root, 'services/gateway/page/built');

/** Browsers that the page supports. */
const TARGETS = ['chrome109', 'edge109', 'firefox102', 'safari16'];

/** Packages whose code or fonts are in the bundle. */
const BUNDLED = [
  'preact',
  '@preact/signals',
  '@preact/signals-core',
  'uplot',
  '@fontsource/ibm-plex-sans',
  '@fontsource/ibm-plex-mono',
];

type BuiltFile = { name: string; bytes: Uint8Array };

/** Whether the page was never built, or a source is newer than the last build. */
export function isStale(): boolean {
  const index = join(BUILT, 'index.html');
  if (!existsSync(index)) return true;
  const built = statSync(index).mtimeMs;
  const sources = [...globSync('page/**/*.{ts,tsx,css,html,svg}', { cwd: root }), 'package-lock.json'];
  return sources.some((file) => statSync(join(root, file)).mtimeMs > built);
}

/** @returns the names of the files. Absent where esbuild is not installed, as in an installation without tests. */
export async function buildPage(): Promise<string[] | undefined> {
  const esbuild = await import('esbuild').catch(() => undefined);
  if (!esbuild) return undefined;
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: { page: 'page/main.tsx', icon: 'page/style/icon.svg' },
    outdir: BUILT,
    entryNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    bundle: true,
    minify: true,
    format: 'esm',
    target: TARGETS,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    loader: { '.woff2': 'file', '.svg': 'copy' },
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'warning',
  });
  const files = outputFiles.map(({ path, contents }) => ({
    name: path.slice(BUILT.length + 1),
    bytes: contents,
  }));
  const nameOf = (pattern: RegExp) => files.find(({ name }) => pattern.test(name))?.name ?? '';
  const licenses = hashed('licenses.txt', Buffer.from(licensesOf(Object.keys(metafile.inputs))));
  const index = readFileSync(join(source, 'index.html'), 'utf8')
    .replace('page.js', nameOf(/^page-.*\.js$/))
    .replace('page.css', nameOf(/^page-.*\.css$/))
    .replace('icon.svg', nameOf(/^icon-.*\.svg$/))
    .replace('licenses.txt', licenses.name);
  const all = [...files, licenses, { name: 'index.html', bytes: Buffer.from(index) }];
  store(all);
  return all.map(({ name }) => name);
}

/** Complete files only: a gateway may read the folder at any time. */
function store(files: readonly BuiltFile[]): void {
  const next = `${BUILT}.${process.pid}`;
  rmSync(next, { recursive: true, force: true });
  mkdirSync(next, { recursive: true });
  for (const { name, bytes } of files) {
    writeFileSync(join(next, name), bytes);
    const packed = gzipSync(bytes, { level: 9 });
    if (packed.length < bytes.length * 0.95) writeFileSync(join(next, `${name}.gz`), packed);
  }
  rmSync(BUILT, { recursive: true, force: true });
  renameSync(next, BUILT);
}

function hashed(name: string, bytes: Uint8Array): BuiltFile {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8).toUpperCase();
  return { name: name.replace(/\.(\w+)$/, `-${hash}.$1`), bytes };
}

/** @throws Error if a package is in the bundle and not in the list */
function licensesOf(inputs: string[]): string {
  const packages = new Set(
    inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  );
  const unknown = [...packages].filter((name) => !BUNDLED.includes(name));
  if (unknown.length > 0) throw new Error(`add ${unknown.join(', ')} to the packages of page/build.ts`);
  return [...packages]
    .sort()
    .map((name) => `${name}\n\n${readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8')}`)
    .join(`\n${'-'.repeat(80)}\n\n`);
}

if (import.meta.main && !(process.argv.includes('--if-stale') && !isStale())) {
  const files = await buildPage();
  if (!files) console.error('The page is not built: esbuild is not installed ("npm ci" installs it).');
}
