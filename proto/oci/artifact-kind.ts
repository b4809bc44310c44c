/** What an artifact that belongs to an image is. */
export type ArtifactKind = 'signature' | 'sbom' | 'attestation' | 'other';

/** By the artifact types of cosign, notation, Docker and SBOM tools. */
const kinds: [RegExp, ArtifactKind][] = [
  [/in-toto|dsse|slsa|attestation|provenance/i, 'attestation'],
  [/spdx|cyclonedx|syft|sbom/i, 'sbom'],
  [/signature|notary|cosign|sigstore/i, 'signature'],
];

/** By the artifact type of a manifest, the media type of content, or the type of a predicate. Pure. */
export const artifactKind = (type: string): ArtifactKind =>
  kinds.find(([pattern]) => pattern.test(type))?.[1] ?? 'other';

/** Suffixes of the tags under which cosign keeps what belongs to the image `sha256-<hex>`, with what it is. */
export const attachedTags: readonly [suffix: string, kind: ArtifactKind][] = [
  ['.sig', 'signature'],
  ['.att', 'attestation'],
  ['.sbom', 'sbom'],
];

/** The tag of cosign for what belongs to this image. */
export const attachedTag = (digest: string, suffix: string): string => `${digest.replace(':', '-')}${suffix}`;

/**
 * Whether a tag of this name names no image of its own: what cosign keeps for one, or the list of its referrers
 * (distribution-spec, "Referrers Tag Schema").
 */
export const isAttachedTag = (tag: string): boolean =>
  /^(?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(?:\.(?:sig|att|sbom))?$/.test(tag);
