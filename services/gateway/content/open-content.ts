import type { BlobPlace } from '#proto/content/blobs.ts';
import type { ManifestPlace } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Reference, Repository } from '#proto/oci/names.ts';
import type { BlobFile, Volume } from '#proto/volume/volume.ts';
import type { ContentCache, ManifestBytes } from './content-cache.ts';

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

export type ManifestContent = { place: ManifestPlace; bytes: ManifestBytes };

/** The bytes are shared: they must not be changed. Returns synchronously if all of it is cached. */
export function readManifestBytes(
  volume: Volume,
  cache: ContentCache,
  repository: Repository,
  reference: Reference,
): ManifestContent | Promise<ManifestContent> {
  const place = cache.manifest(repository, reference);
  if (place instanceof Promise) return readManifest(volume, cache, repository, reference, { place });
  const bytes = cache.bytes(place.digest, () => readAll(volume, place));
  if (bytes && !(bytes instanceof Promise)) return { place, bytes };
  return readManifest(volume, cache, repository, reference, { place, bytes });
}

/** What the first attempt has so far. */
type Begun = {
  place: ManifestPlace | Promise<ManifestPlace>;
  bytes?: ReturnType<ContentCache['bytes']>;
};

async function readManifest(
  volume: Volume,
  cache: ContentCache,
  repository: Repository,
  reference: Reference,
  begun: Begun,
): Promise<ManifestContent> {
  let place = await begun.place;
  let reading: Begun['bytes'] = begun.bytes;
  for (let attempt = 1; ; attempt += 1) {
    const bytes = await (reading ?? cache.bytes(place.digest, () => readAll(volume, place)));
    if (bytes) return { place, bytes };
    reading = undefined;
    await relocate(cache, repository, reference, place.digest, attempt);
    place = await cache.manifest(repository, reference);
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
