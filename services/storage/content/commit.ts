import { constants } from 'node:fs';
import { chmod, type FileHandle, open, rm } from 'node:fs/promises';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { blobCommitted } from '#proto/content/content-events.ts';
import { Fault } from '#proto/contract/fault.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { ingestFiles } from '#proto/volume/layout.ts';
import { type Change, type Metadata, put } from '../metadata/metadata.ts';
import type { IngestRecord } from '../metadata/records.ts';
import { type BlobStore, digestOf, sizeOf } from './blob-store.ts';

/**
 * How content becomes visible:
 *
 *   1 verify   fsync the file; its size and digest are right
 *   2 place    read-only, renamed into the blob store, the folders fsynced
 *   3 batch    one synced batch makes every name of it (blob record, link, manifest, tag) and ends the ingest
 *   4          the ingest's folder goes; events
 *
 * A crash before 3 leaves an ingest, or a file without a record; never a name without content. The caller holds the
 * ingest for all of it and the blob's lock for 2 and 3.
 */

/** An ingest whose claim the caller holds. */
export type Held = { id: string; folder: string; record: IngestRecord };

/** What is asked of the content. */
export type Wanted = { digest: string; size?: number | undefined; hashed?: string | undefined };

/** Content that is what was wanted. `source` is absolute. */
export type Verified = { digest: string; size: number; source: string };

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

  /** Step 1. @throws Fault `digest-invalid`, `size-invalid`, `no-space`; the ingest is as it was */
  async verify({ folder, record }: Held, { digest, size: announced, hashed }: Wanted): Promise<Verified> {
    const { data } = ingestFiles(folder);
    const expected = announced ?? record.size;
    // Created where nothing was ever written: empty content.
    await using file = await open(data, constants.O_RDONLY | constants.O_CREAT, 0o600);
    const { size } = await file.stat();
    sizeMustBe(expected, size);
    if (record.unclean) {
      const source = ingestFiles(folder).copy;
      return { digest, size: await privateCopy(file, source, digest), source };
    }
    await file.sync();
    // One process wrote all of it, so its hash counts: it is the hash of these bytes.
    const believed = record.writers.length === 1 && hashed === digest;
    if (!believed) digestMustBe(digest, (await digestOf(file, splitDigest(digest)[0])).digest);
    return { digest, size, source: data };
  }

  /** Step 2. Content that is there already stays as it is. @returns what step 3 has to write for the blob */
  async place({ id, record }: Held, { digest, size, source }: Verified): Promise<Change[]> {
    if (await this.#metadata.blob(digest)) return [];
    // From here on a crash may leave the file in place without its record: a start looks for it there.
    await this.#metadata.note(put.ingest(id, { ...record, placing: digest }));
    await this.#blobs.place(source, digest);
    return put.blob(digest, { size });
  }

  /**
   * After a crash between steps 2 and 3: the ingest is again as it was before the commit, so whoever asks for the
   * commit once more, or goes on writing, finds its bytes.
   */
  async undo(folder: string, digest: string): Promise<void> {
    if (await this.#metadata.blob(digest)) return;
    const { data } = ingestFiles(folder);
    if ((await sizeOf(data)) === undefined) await this.#blobs.takeBack(digest, data);
    else await chmod(data, 0o600);
  }

  /** Is the blob committed? A file that a crash left in place without its record is checked and made so. */
  async present(digest: string): Promise<boolean> {
    if (await this.#metadata.blob(digest)) return true;
    if (!(await this.#blobs.has(digest))) return false;
    return this.#locks.run(`blob ${digest}`, async () => {
      if (await this.#metadata.blob(digest)) return true;
      if (!(await this.#blobs.has(digest))) return false;
      try {
        const size = await this.#check(this.#blobs.file(digest), digest);
        await this.#blobs.settle(digest);
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
    await using file = await open(path, 'r');
    await file.sync();
    const found = await digestOf(file, splitDigest(digest)[0]);
    digestMustBe(digest, found.digest);
    return found.size;
  }
}

/**
 * An old writer may have the file open: what is committed is a file that it never saw, hashed on the way.
 * @returns its size
 */
async function privateCopy(file: FileHandle, path: string, digest: string): Promise<number> {
  await rm(path, { force: true });
  try {
    await using copy = await open(path, 'wx', 0o600);
    const found = await digestOf(file, splitDigest(digest)[0], copy);
    digestMustBe(digest, found.digest);
    await copy.sync();
    return found.size;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

function sizeMustBe(expected: number | undefined, found: number): void {
  if (expected === undefined || expected === found) return;
  throw new Fault(
    'size-invalid',
    `the content has ${found} bytes, ${expected} were announced: send all of it`,
    {
      detail: { expected, found },
    },
  );
}

function digestMustBe(expected: string, found: string): void {
  if (expected === found) return;
  throw new Fault('digest-invalid', `the content has the digest ${found}, not ${expected}: send it again`, {
    detail: { expected, found },
  });
}
