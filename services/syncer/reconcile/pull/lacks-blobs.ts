import { missingBlobs } from '#proto/content/blobs.ts';
import { isIndexType, type Manifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { readLeftOutManifests } from '../context/lists.ts';
import type { PassContext } from '../context/pass-context.ts';

/** Max foreign layers of an image that are checked: one request to storage. */
const MAX_FOREIGN = 1_000;

/**
 * Whether a manifest that is here was committed without some of its blobs, which the parent may have now: entries of an
 * index that were left out and, for a full pass, foreign layers.
 */
export async function lacksBlobs(
  { bus, signal, passRequest }: PassContext,
  repository: Repository,
  digest: Digest,
  { mediaType, blobs, foreign }: Manifest,
): Promise<boolean> {
  if (foreign.length > 0 && passRequest.full) {
    const wanted = foreign.slice(0, MAX_FOREIGN).map((layer) => layer.digest);
    const { digests } = await bus.call(missingBlobs, { digests: wanted }, { signal });
    if (digests.length > 0) return true;
  }
  if (!isIndexType(mediaType) || blobs.length === 0) return false;
  const entries = new Set(blobs.map((blob) => blob.digest));
  const leftOut = await readLeftOutManifests(bus, repository, signal);
  return leftOut.some((one) => one.index === digest && entries.has(one.digest));
}
