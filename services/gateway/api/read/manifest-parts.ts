import {
  MAX_SHOWN_ANNOTATION,
  MAX_SHOWN_ANNOTATIONS,
  type Manifest,
  type ReferrerItem,
} from '#proto/api/manifests.ts';
import { clip } from '#proto/contract/clip.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';

/** Parts of a manifest as the API shows them. Pure. */

const MAX_TYPE = 512;

export const contentOf = (
  { digest, mediaType, size }: Descriptor,
  missing: ReadonlySet<string>,
): Manifest['layers'][number] => ({
  digest,
  mediaType: clip(mediaType, MAX_TYPE),
  size,
  here: !missing.has(digest),
});

export function platformOf(entry: Descriptor, missing: ReadonlySet<string>): Manifest['platforms'][number] {
  const { os, architecture, variant } = entry.platform ?? {};
  const platform = [os, architecture, variant].filter(Boolean).join('/');
  return { ...contentOf(entry, missing), ...(platform && { platform: clip(platform, 400) }) };
}

export function referrerOf({
  digest,
  artifactType,
  size,
}: {
  digest: string;
  artifactType?: string | undefined;
  size: number;
}): ReferrerItem {
  return {
    digest,
    ...(artifactType !== undefined && { artifactType }),
    size,
    kind: kindOf(artifactType ?? ''),
  };
}

/** By the artifact types of cosign, notation, Docker and SBOM tools. */
const kinds: [RegExp, ReferrerItem['kind']][] = [
  [/in-toto|dsse|slsa|attestation|provenance/i, 'attestation'],
  [/spdx|cyclonedx|syft|sbom/i, 'sbom'],
  [/signature|notary|cosign|sigstore/i, 'signature'],
];

export const kindOf = (artifactType: string): ReferrerItem['kind'] =>
  kinds.find(([pattern]) => pattern.test(artifactType))?.[1] ?? 'other';

export function annotationsOf(annotations: Record<string, string> = {}): Record<string, string> {
  const shown = Object.entries(annotations).slice(0, MAX_SHOWN_ANNOTATIONS);
  return Object.fromEntries(
    shown.map(([key, text]) => [clip(key, MAX_TYPE), clip(text, MAX_SHOWN_ANNOTATION)]),
  );
}
