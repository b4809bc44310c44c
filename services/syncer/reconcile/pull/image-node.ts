import type { LeftOutManifest } from '#proto/content/manifests.ts';
import { platformName } from '#proto/content/platforms.ts';
import { clip } from '#proto/contract/clip.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import { MAX_MEDIA_TYPE } from '#proto/oci/names.ts';
import { compressionOf } from '../../frames/framed-types.ts';
import type { FetchedManifest } from '../../link/parent/parent-reader.ts';

/**
 * A manifest that the layer lacks, with its children that are not pulled; or an index that is here, of whose blobs some
 * were left out. `isReferrer`: it hangs on the image by a subject.
 */
export type ImageNode = FetchedManifest & {
  manifest: Manifest;
  leftOut: LeftOutManifest[];
  isReferrer: boolean;
};

/** An entry of an index as storage records it. */
export const toLeftOut = (entry: Descriptor): LeftOutManifest => ({
  digest: entry.digest,
  platform: platformName(entry) || 'unknown',
});

/** Drops fields that are not needed after parsing: annotations may be most of a manifest. */
export const strip = ({
  mediaType,
  artifactType,
  blobs,
  foreign,
  manifests,
  subject,
}: Manifest): Manifest => ({
  mediaType,
  blobs: blobs.map(bare),
  foreign: foreign.map(bare),
  manifests: manifests.map(({ digest, size, platform }) => ({
    mediaType: '',
    digest,
    size,
    ...(platform && { platform }),
  })),
  ...(subject && {
    subject: { mediaType: '', digest: subject.digest, size: subject.size },
    ...(artifactType && { artifactType: clip(artifactType, MAX_MEDIA_TYPE) }),
  }),
});

/** The media type is retained where a layer may have frames. */
const bare = ({ digest, size, mediaType }: Descriptor): Descriptor => ({
  mediaType: compressionOf(mediaType) ? mediaType : '',
  digest,
  size,
});

/** Blobs of the nodes, foreign layers among them, without duplicates. */
export function blobsOf(nodes: readonly ImageNode[]): Descriptor[] {
  const all = nodes.flatMap(({ manifest }) => [...manifest.blobs, ...manifest.foreign]);
  return [...new Map(all.map((blob) => [blob.digest, blob])).values()];
}
