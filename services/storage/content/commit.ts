import { createHash, type Hash } from 'node:crypto';
import { chmodSync, constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { blobCommitted } from '#proto/content/content-events.ts';
import { Fault } from '#proto/contract/fault.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { ingestFiles } from '#proto/volume/layout.ts';
import { type Change, type Metadata, put } from '../metadata/metadata.ts';
import type { IngestRecord } from '../metadata/records.ts';
import { type BlobStore, digestOf, sizeOf } from './blob-store.ts';
import { OpenFile } from './open-file.ts';

/**
 * How content becomes visible:
 *
 *   1 verify   fsync the file, check its size and digest
 *   2 move     note it in the ingest's record (`placing`), make the file read-only, rename it into the blob store,
 *              fsync the folders
 *   3 batch    one synced batch writes every name of it (blob record, link, manifest, tag), deletes the ingest's record
 *   4          publish events, delete the ingest's folder
 *
 * The steps 1 and 2 are here; `Blobs` and `Manifests` write the batch. A crash before 3 leaves an ingest or a file
 * without a record, never a name without content; the next start takes the file back (`undo`). The caller holds the
 * claim and the lock of the ingest throughout, and the lock of the blob for 2 and 3.
 *
 * Content that came in a request (`stage`) has no ingest: a crash leaves a file that the next start deletes, or one in
 * the blob store without a record, as above.
 */

/** An ingest whose claim the caller holds. `folder` is an absolute path. */
export type ClaimedIngest = { id: string; folder: string; record: IngestRecord };

/** What the content must match; `hashed` is the digest that the writer computed. */
export type WantedContent = { digest: string; size?: number | undefined; hashed?: string | undefined };

/** Content that matches. `source` is an absolute path; `sealed`: of a file that no writer has open, read-only. */
export type VerifiedContent = { digest: string; size: number; source: string; sealed?: true };

/** The steps of a commit. */
export class Commits {
  readonly #metadata: Metadata;
  readonly #blobs: BlobStore;
  readonly #locks: KeyedLock;
  readonly #publish: Bus['publish'];

  constructor(metadata: Metadata, blobs: BlobStore, locks: KeyedLock, publish: Bus['publish']) {
    this.#metadata = metadata;
    this.#blobs = blobs;
    this.#locks = locks;
    this.#publish = publish;
  }

  /** Step 1. @throws Fault `digest-invalid`, `size-invalid`, `no-space`; the ingest is unchanged */
  async verify(
    { folder, record }: ClaimedIngest,
    { digest, size: announced, hashed }: WantedContent,
  ): Promise<VerifiedContent> {
    const { data } = ingestFiles(folder);
    const expected = announced ?? record.size;
    // Created if nothing was written: the content is empty.
    using file = new OpenFile(data, constants.O_RDONLY | constants.O_CREAT);
    const { size } = file;
    sizeMustBe(expected, size);
    if (record.unclean) {
      const source = ingestFiles(folder).copy;
      return { digest, size: await copyPrivately(data, source, digest), source };
    }
    await file.sync();
    // The hash of a writer is trusted only if one process wrote the entire file: then it covers exactly these bytes.
    const isHashTrusted = record.writers.length === 1 && hashed === digest;
    if (!isHashTrusted) digestMustBe(digest, (await digestOfFile(data, digest)).digest);
    return { digest, size, source: data };
  }

  /**
   * Step 1 for content in memory: writes and syncs a file of it, which disposal deletes unless it was moved.
   * @throws Fault `digest-invalid`, `no-space`
   */
  async stage(digest: string, bytes: Uint8Array): Promise<VerifiedContent & AsyncDisposable> {
    const [algorithm] = splitDigest(digest);
    digestMustBe(digest, `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`);
    const source = await this.#blobs.stage(bytes);
    const remove = () => rm(source, { force: true }).catch(() => {});
    return { digest, size: bytes.byteLength, source, sealed: true, [Symbol.asyncDispose]: remove };
  }

  /** The same for content that is read in chunks; each is valid until the next one is requested. */
  async stageChunks(
    digest: string,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<VerifiedContent & AsyncDisposable> {
    const [algorithm] = splitDigest(digest);
    const hash = createHash(algorithm);
    const { path: source, size } = await this.#blobs.stageChunks(hashed(chunks, hash));
    const remove = () => rm(source, { force: true }).catch(() => {});
    try {
      digestMustBe(digest, `${algorithm}:${hash.digest('hex')}`);
    } catch (error) {
      await remove();
      throw error;
    }
    return { digest, size, source, sealed: true, [Symbol.asyncDispose]: remove };
  }

  /**
   * Step 2. Content that exists already is left as it is.
   * @param ingest undefined for staged content
   * @returns the changes for the blob that step 3 writes
   */
  async moveIn(
    ingest: ClaimedIngest | undefined,
    { digest, size, source, sealed }: VerifiedContent,
  ): Promise<Change[]> {
    if (await this.#metadata.blob(digest)) return [];
    // From here on, a crash may leave the file in the blob store without its record: recovery looks for it there.
    if (ingest)
      await this.#metadata.writeUnsynced(put.ingest(ingest.id, { ...ingest.record, placing: digest }));
    await this.#blobs.moveIn(source, digest, sealed);
    return put.blob(digest, { size });
  }

  /**
   * Reverts step 2 after a crash before step 3: the ingest is as before the commit, so that a holder that retries the
   * commit, or continues to write, finds its bytes.
   */
  async undo(folder: string, digest: string): Promise<void> {
    if (await this.#metadata.blob(digest)) return;
    const { data } = ingestFiles(folder);
    if (sizeOf(data) === undefined) await this.#blobs.takeBack(digest, data);
    else chmodSync(data, 0o600);
  }

  /** Whether the blob is committed. A file that a crash left without a record is checked, then committed or deleted. */
  async present(digest: string): Promise<boolean> {
    if (await this.#metadata.blob(digest)) return true;
    if (!(await this.#blobs.has(digest))) return false;
    return this.#locks.run(`blob ${digest}`, async () => {
      if (await this.#metadata.blob(digest)) return true;
      if (!(await this.#blobs.has(digest))) return false;
      try {
        const size = await this.#check(this.#blobs.file(digest), digest);
        await this.#blobs.sync(digest);
        await this.#metadata.write(put.blob(digest, { size }));
        this.#publish(blobCommitted, { digest, size });
        return true;
      } catch (error) {
        if (!Fault.is(error, 'digest-invalid')) throw error;
        await this.#blobs.remove(digest);
        return false;
      }
    });
  }

  async #check(path: string, digest: string): Promise<number> {
    using file = new OpenFile(path, 'r');
    await file.sync();
    const actual = await digestOfFile(path, digest);
    digestMustBe(digest, actual.digest);
    return actual.size;
  }
}

/**
 * Copies and hashes the file: an old writer may still have it open, so a file that it never opened is committed.
 * @returns the size in bytes
 */
async function copyPrivately(source: string, path: string, digest: string): Promise<number> {
  await rm(path, { force: true });
  try {
    await using file = await open(source);
    await using copy = await open(path, 'wx', 0o600);
    const actual = await digestOf(file, splitDigest(digest)[0], copy);
    digestMustBe(digest, actual.digest);
    await copy.sync();
    return actual.size;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

async function* hashed(chunks: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
}

async function digestOfFile(path: string, digest: string): Promise<{ digest: string; size: number }> {
  await using file = await open(path);
  return await digestOf(file, splitDigest(digest)[0]);
}

function sizeMustBe(expected: number | undefined, actual: number): void {
  if (expected === undefined || expected === actual) return;
  throw new Fault(
    'size-invalid',
    `the content has ${actual} bytes, expected ${expected}: send it completely`,
    {
      detail: { expected, found: actual },
    },
  );
}

function digestMustBe(expected: string, actual: string): void {
  if (expected === actual) return;
  throw new Fault('digest-invalid', `the content has the digest ${actual}, not ${expected}: send it again`, {
    detail: { expected, found: actual },
  });
}
