import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest } from '#proto/oci/names.ts';

/** Which of the manifests that refer to an image a layer brings, and how tags refer to one. */

/** @param referrers all, none, or those of these artifact types */
export const wantsReferrer = (referrers: boolean | readonly string[], descriptor: Descriptor): boolean =>
  typeof referrers === 'boolean' ? referrers : referrers.includes(descriptor.artifactType ?? '');

/**
 * The manifest that a tag of the form `sha256-<hex>`, with a suffix such as `.sig` or without one, is about:
 * the referrers tag (distribution-spec 1.1, "Referrers Tag Schema") and what signing tools made of it.
 */
export function subjectOfTag(tag: string): Digest | undefined {
  const [, hex] = /^sha256-([0-9a-f]{64})(?:\.[\w.-]+)?$/.exec(tag) ?? [];
  return hex && `sha256:${hex}`;
}
