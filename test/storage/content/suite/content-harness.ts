import type { BlobPlace } from '#proto/content/blobs.ts';
import type { Claim } from '#proto/content/ingests.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import type { ContentCollector, ContentStore } from '../../../../services/storage/content/content-store.ts';
import { bytesOf, digestOf } from '../../samples.ts';

/** What a content store brings to its suite, and what the parts of the suite share: sample content and requests. */

/** An ingest that a writer has open, whether or not it still holds the claim. */
export type OpenIngest = AsyncDisposable & {
  write(bytes: Uint8Array, position: number): Promise<void>;
  sync(): Promise<void>;
};

/** A content store to test, empty at first, with its writers, its readers and its clock. */
export interface ContentHarness extends AsyncDisposable {
  /** Both clocks of the store, in ms. */
  now: number;
  /** Events that the store published, in order: `[type, data]`. */
  readonly events: [type: string, data: unknown][];
  /** After a restart, another one. */
  readonly store: ContentStore;
  readonly garbage: ContentCollector;
  status(): Promise<Pick<StorageStatus, 'blobs' | 'repositories' | 'ingests'>>;
  open(claim: Claim): Promise<OpenIngest>;
  /** Makes an idle claim active. @returns false if it is lost */
  resume(claim: Claim): Promise<boolean>;
  /** Makes an active claim idle. @returns false if it is lost */
  suspend(claim: Claim): Promise<boolean>;
  read(place: BlobPlace): Promise<Uint8Array>;
  restart(): Promise<void>;
  /** A restart as after a restart of the machine, which may lose unsynced writes. */
  reboot(): Promise<void>;
}

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const repository = 'lib/app';
export const by = 'writer-1';
export const content = bytesOf('what is transferred');
export const transfer = { digest: digestOf(content), size: content.byteLength };
export const absent = digestOf(bytesOf('not here'));
export const layer = bytesOf('layer');

export async function write(
  at: ContentHarness,
  claim: Claim,
  bytes: Uint8Array,
  position = 0,
): Promise<void> {
  await using file = await at.open(claim);
  await file.write(bytes, position);
}

/** A held upload with these bytes in it. */
export async function uploaded(at: ContentHarness, repository: string, bytes: Uint8Array): Promise<Claim> {
  const claim = await at.store.ingests.startUpload({ repository, by, hold: true });
  await write(at, claim, bytes);
  return claim;
}

/** Uploads and commits a blob. @returns its digest */
export async function push(
  at: ContentHarness,
  repository: string,
  bytes: Uint8Array,
  digest = digestOf(bytes),
): Promise<string> {
  const { id, claim } = await uploaded(at, repository, bytes);
  await at.store.blobs.commit({ id, claim, digest, repository, hashed: digestOf(bytes) });
  return digest;
}

export async function read(at: ContentHarness, repository: string, digest: string): Promise<Uint8Array> {
  return new Uint8Array(await at.read(await at.store.blobs.locate(repository, digest)));
}
