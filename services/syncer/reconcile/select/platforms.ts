import { type LeftOut, MAX_PLATFORM } from '#proto/content/manifests.ts';
import { clip } from '#proto/contract/clip.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';

/** Which children of an index a layer brings, by the platforms that its configuration names. */

type Platform = { os: string; architecture: string; variant: string | undefined };

/** The annotation by which build tools tie an attestation to the child that it is about. */
const SUBJECT = 'vnd.docker.reference.digest';

/**
 * A platform without a variant takes every variant. Children of no platform are wanted; attestations, which stand
 * under `unknown/unknown`, as the child that they are about, and are wanted where they name none.
 */
export function choose(
  children: Descriptor[],
  platforms: readonly string[] | undefined,
): { wanted: Descriptor[]; leftOut: LeftOut[] } {
  if (!platforms) return { wanted: children, leftOut: [] };
  const filters = platforms.map(filterOf);
  const byDigest = new Map<string, Descriptor>();
  const taken = new Set<string>();
  for (const child of children) {
    if (!isAttestation(child)) byDigest.set(child.digest, child);
    // One manifest may stand for several platforms: any of them is enough.
    if (!isAttestation(child) && fits(child, filters)) taken.add(child.digest);
  }
  const wanted: Descriptor[] = [];
  const leftOut = new Map<string, LeftOut>();
  for (const child of children) {
    const about = isAttestation(child) ? byDigest.get(child.annotations?.[SUBJECT] ?? '') : child;
    if (!about || taken.has(about.digest)) wanted.push(child);
    else leftOut.set(child.digest, { digest: child.digest, platform: nameOf(about) });
  }
  for (const { digest } of wanted) leftOut.delete(digest);
  return { wanted, leftOut: [...leftOut.values()] };
}

const isAttestation = ({ platform }: Descriptor): boolean =>
  platform?.os === 'unknown' && platform.architecture === 'unknown';

function fits({ platform }: Descriptor, filters: Platform[]): boolean {
  if (!platform?.os || !platform.architecture) return true;
  const own = normalised(platform.os, platform.architecture, platform.variant ?? '');
  return filters.some(
    ({ os, architecture, variant }) =>
      os === own.os &&
      architecture === own.architecture &&
      (variant === undefined || variant === own.variant),
  );
}

/** Of what an index says that a child is for. */
export const nameOf = ({ platform }: Descriptor): string =>
  clip([platform?.os, platform?.architecture, platform?.variant].filter(Boolean).join('/'), MAX_PLATFORM);

function filterOf(text: string): Platform {
  const [os = '', architecture = '', variant] = text.split('/');
  const one = normalised(os, architecture, variant ?? '');
  const namesVariant = variant !== undefined || /^arm(hf|el)$/i.test(architecture);
  return namesVariant ? one : { ...one, variant: undefined };
}

/** One name for each, as containerd's platforms package has it: `x86_64` is `amd64`, `arm64/v8` is `arm64`. */
function normalised(os: string, architecture: string, variant: string): Platform {
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
