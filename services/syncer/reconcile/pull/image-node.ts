import type { LeftOutManifest } from '#proto/content/manifests.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import type { FetchedManifest } from '../../link/parent/parent-reader.ts';
import { platformName } from '../select/platforms.ts';

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
