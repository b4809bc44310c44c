import type { BlobPlace } from '#proto/content/blobs.ts';
import type { ManifestPlace } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Reference, Repository } from '#proto/oci/names.ts';
import type { BlobFile, Volume } from '#proto/volume/volume.ts';
import type { ContentCache } from './content-cache.ts';

const MAX_ATTEMPTS = 3;

/*
 * Opens committed content at the place that storage names. Content that is deleted or moved between that answer and the
 * opening of the file is located again.
 */

export async function openBlob(
  volume: Volume,
  cache: ContentCache,
  repository: Repository,
  digest: Digest,
): Promise<{ place: BlobPlace; file: BlobFile }> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const place = await cache.blob(repository, digest);
    const file = await volume.openBlob(place);
    if (file) return { place, file };
    cache.invalidate(repository, digest);
  }
  throw new Fault('unavailable', 'the content is not at the location that storage reported: retry later');
}

/** The bytes are shared: they must not be changed. */
export async function readManifestBytes(
  volume: Volume,
  cache: ContentCache,
  repository: Repository,
  reference: Reference,
): Promise<{ place: ManifestPlace; bytes: Buffer }> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const place = await cache.manifest(repository, reference);
    const bytes = await cache.bytes(place.digest, () => readAll(volume, place));
    if (bytes) return { place, bytes };
    cache.invalidate(repository, reference);
  }
  throw new Fault('unavailable', 'the content is not at the location that storage reported: retry later');
}

async function readAll(volume: Volume, place: ManifestPlace): Promise<Buffer | undefined> {
  await using file = await volume.openBlob(place);
  if (!file) return undefined;
  const bytes = Buffer.allocUnsafeSlow(place.size);
  if ((await file.read(bytes, 0)) < place.size) throw new Error(`${place.digest} is truncated`);
  return bytes;
}
