import {
  MAX_SHOWN_ANNOTATION,
  MAX_SHOWN_ANNOTATIONS,
  type Manifest,
  type ReferrerItem,
} from '../../api/manifests.ts';
import { clip } from '../../contract/clip.ts';
import { artifactKind } from '../../oci/artifact-kind.ts';
import { platformText } from '../../oci/image-config.ts';
import type { Descriptor } from '../../oci/manifest.ts';

/** Parts of a manifest as the API and the command line show them. Pure. */

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
  const platform = platformText(entry.platform);
  return { ...contentOf(entry, missing), ...(platform !== undefined && { platform }) };
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
    kind: artifactKind(artifactType ?? ''),
  };
}

export function annotationsOf(annotations: Record<string, string> = {}): Record<string, string> {
  const shown = Object.entries(annotations).slice(0, MAX_SHOWN_ANNOTATIONS);
  return Object.fromEntries(
    shown.map(([key, text]) => [clip(key, MAX_TYPE), clip(text, MAX_SHOWN_ANNOTATION)]),
  );
}
