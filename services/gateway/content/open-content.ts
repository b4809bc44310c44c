import type { BlobPlace } from '#proto/content/blobs.ts';
import type { ManifestPlace } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Reference, Repository } from '#proto/oci/names.ts';
import type { BlobFile, Volume } from '#proto/volume/volume.ts';
import type { ContentCache } from './content-cache.ts';

const MAX_ATTEMPTS = 3;

/*
 * Opens committed content at the place that storage names. Content that is deleted or moved between that answer and the
 * opening of the file is located again. If its file is missing or too short all the same, storage checks it, and then
 * answers that the content is unknown until it is supplied again.
 */

export async function openBlob(
  volume: Volume,
  cache: ContentCache,
  repository: Repository,
  digest: Digest,
): Promise<{ place: BlobPlace; file: BlobFile }> {
  for (let attempt = 1; ; attempt += 1) {
    const place = await cache.blob(repository, digest);
    const file = await volume.openBlob(place);
    if (file) return { place, file };
    await relocate(cache, repository, digest, digest, attempt);
  }
}

/** The bytes are shared: they must not be changed. */
export async function readManifestBytes(
  volume: Volume,
  cache: ContentCache,
  repository: Repository,
  reference: Reference,
): Promise<{ place: ManifestPlace; bytes: Buffer }> {
  for (let attempt = 1; ; attempt += 1) {
    const place = await cache.manifest(repository, reference);
    const bytes = await cache.bytes(place.digest, () => readAll(volume, place));
    if (bytes) return { place, bytes };
    await relocate(cache, repository, reference, place.digest, attempt);
  }
}

/** Prepares the next attempt. @throws Fault `unavailable` if there is none */
async function relocate(
  cache: ContentCache,
  repository: Repository,
  reference: Reference,
  digest: Digest,
  attempt: number,
): Promise<void> {
  cache.invalidate(repository, reference);
  if (attempt > MAX_ATTEMPTS) {
    throw new Fault('unavailable', 'the content is not at the location that storage reported: retry later');
  }
  if (attempt === MAX_ATTEMPTS) await cache.check(digest);
}

/** @returns undefined if the file is missing, too short or unreadable */
async function readAll(volume: Volume, place: ManifestPlace): Promise<Buffer | undefined> {
  await using file = await volume.openBlob(place);
  if (!file) return undefined;
  const bytes = Buffer.allocUnsafeSlow(place.size);
  const read = await file.read(bytes, 0).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EIO') throw error;
    return 0;
  });
  return read < place.size ? undefined : bytes;
}
