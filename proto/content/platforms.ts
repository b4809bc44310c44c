import { clip } from '../contract/clip.ts';
import type { Descriptor } from '../oci/manifest.ts';
import { type LeftOutManifest, MAX_PLATFORM } from './manifests.ts';

/** Selects the children of an index that a layer pulls, by the configured platforms. Pure. */

type Platform = { os: string; architecture: string; variant: string | undefined };

/** Annotation by which build tools bind an attestation to the child that it is about. */
const SUBJECT = 'vnd.docker.reference.digest';

/**
 * A platform without a variant matches every variant. Children without a platform are wanted. Attestations, which have
 * the platform `unknown/unknown`, are treated like the child that they are about; without one, they are wanted.
 */
export function choose(
  children: Descriptor[],
  platforms: readonly string[] | undefined,
): { wanted: Descriptor[]; leftOut: LeftOutManifest[] } {
  if (!platforms) return { wanted: children, leftOut: [] };
  const filters = platforms.map(filterOf);
  const byDigest = new Map<string, Descriptor>();
  const taken = new Set<string>();
  for (const child of children) {
    if (!isAttestation(child)) byDigest.set(child.digest, child);
    // An index may list one manifest for several platforms: one match is enough.
    if (!isAttestation(child) && fits(child, filters)) taken.add(child.digest);
  }
  const wanted: Descriptor[] = [];
  const leftOut = new Map<string, LeftOutManifest>();
  for (const child of children) {
    const about = isAttestation(child) ? byDigest.get(child.annotations?.[SUBJECT] ?? '') : child;
    if (!about || taken.has(about.digest)) wanted.push(child);
    else leftOut.set(child.digest, { digest: child.digest, platform: platformName(about) });
  }
  for (const { digest } of wanted) leftOut.delete(digest);
  return { wanted, leftOut: [...leftOut.values()] };
}

const isAttestation = ({ platform }: Descriptor): boolean =>
  platform?.os === 'unknown' && platform.architecture === 'unknown';

function fits({ platform }: Descriptor, filters: Platform[]): boolean {
  if (!platform?.os || !platform.architecture) return true;
  const actual = normalize(platform.os, platform.architecture, platform.variant ?? '');
  return filters.some(
    ({ os, architecture, variant }) =>
      os === actual.os &&
      architecture === actual.architecture &&
      (variant === undefined || variant === actual.variant),
  );
}

/** Platform of a child, as its index names it: `os/architecture[/variant]`. */
export const platformName = ({ platform }: Descriptor): string =>
  clip([platform?.os, platform?.architecture, platform?.variant].filter(Boolean).join('/'), MAX_PLATFORM);

/** Whether a child of one of these platforms (`os/architecture[/variant]`) is pulled. */
export function isPlatformWanted(
  names: readonly string[],
  platforms: readonly string[] | undefined,
): boolean {
  const children = names.map((name, at) => {
    const { os, architecture, variant } = parsePlatform(name);
    return {
      mediaType: '',
      digest: String(at),
      size: 0,
      platform: { os, architecture, ...(variant && { variant }) },
    };
  });
  return choose(children, platforms).wanted.length > 0;
}

function parsePlatform(name: string): Platform {
  const [os = '', architecture = '', variant] = name.split('/');
  return { os, architecture, variant };
}

function filterOf(name: string): Platform {
  const { os, architecture, variant } = parsePlatform(name);
  const filter = normalize(os, architecture, variant ?? '');
  const namesVariant = variant !== undefined || /^arm(hf|el)$/i.test(architecture);
  return namesVariant ? filter : { ...filter, variant: undefined };
}

/** Normalizes as containerd's platforms package does: `x86_64` is `amd64`, `arm64/v8` is `arm64`. */
function normalize(os: string, architecture: string, variant: string): Platform {
  const kind = { os: os.toLowerCase() === 'macos' ? 'darwin' : os.toLowerCase() };
  const [arch, version] = [architecture.toLowerCase(), variant.toLowerCase()];
  switch (arch) {
    case 'i386':
      return { ...kind, architecture: '386', variant: '' };
    case 'x86_64':
    case 'x86-64':
    case 'amd64':
      return { ...kind, architecture: 'amd64', variant: version === 'v1' ? '' : version };
    case 'aarch64':
    case 'arm64':
      return { ...kind, architecture: 'arm64', variant: /^v?8$/.test(version) ? '' : version };
    case 'armhf':
      return { ...kind, architecture: 'arm', variant: 'v7' };
    case 'armel':
      return { ...kind, architecture: 'arm', variant: 'v6' };
    case 'arm':
      return {
        ...kind,
        architecture: 'arm',
        variant: version === '' ? 'v7' : version.replace(/^(?=\d)/, 'v'),
      };
    default:
      return { ...kind, architecture: arch, variant: version };
  }
}
