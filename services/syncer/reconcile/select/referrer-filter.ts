import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest } from '#proto/oci/names.ts';

/** Selects the referrers that a layer pulls, and detects tags that are about a manifest. Pure. */

/** @param referrers all, none, or only these artifact types */
export const wantsReferrer = (referrers: boolean | readonly string[], descriptor: Descriptor): boolean =>
  typeof referrers === 'boolean' ? referrers : referrers.includes(descriptor.artifactType ?? '');

/** The same for one of which the type may be unknown: it counts as wanted, unless none are. */
export const mayWantReferrer = (
  referrers: boolean | readonly string[],
  { artifactType }: { artifactType?: string },
): boolean =>
  typeof referrers === 'boolean' || artifactType === undefined
    ? referrers !== false
    : referrers.includes(artifactType);

/**
 * The manifest that a tag of the form `sha256-<hex>[.<suffix>]` is about: a referrers tag (distribution-spec 1.1,
 * "Referrers Tag Schema"), or the variant that signing tools use, such as `.sig`.
 */
export function subjectOfTag(tag: string): Digest | undefined {
  const [, hex] = /^sha256-([0-9a-f]{64})(?:\.[\w.-]+)?$/.exec(tag) ?? [];
  return hex && `sha256:${hex}`;
}
