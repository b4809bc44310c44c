import { createHash } from 'node:crypto';
import { chmodSync, renameSync, statSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomHex } from '#proto/contract/random-hex.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { blobPath, INGESTS } from '#proto/volume/layout.ts';
import { OpenFile } from './open-file.ts';
import { RemovalHold } from './removal-hold.ts';
import { SyncedFolders } from './synced-folders.ts';

/*
 * Committed bytes, by digest:
 *
 *   <data>/blobs/<sha256|sha512>/<first 2 hexadecimal digits>/<all hexadecimal digits>
 *
 * Files are read-only and never change. A file is content only if metadata holds its record. Without one it was left
 * by a crash between rename and batch, and may be adopted (after a check of its digest) or replaced.
 */
const READ_BYTES = 1024 * 1024;

/** The files of committed blobs. */
export class BlobStore {
  readonly #data: string;
  readonly #folders: SyncedFolders;
  /** Of deletions. */
  readonly hold = new RemovalHold();

  constructor(data: string) {
    this.#data = data;
    this.#folders = new SyncedFolders(data);
  }

  /** Path of the blob's file, relative to the data volume. */
  path(digest: string): string {
    const [algorithm, hex] = splitDigest(digest);
    return blobPath(algorithm, hex);
  }

  /** Absolute path of the blob's file. */
  file(digest: string): string {
    return join(this.#data, this.path(digest));
  }

  async has(digest: string): Promise<boolean> {
    return sizeOf(this.file(digest)) !== undefined;
  }

  /**
   * Moves a file into the store. Its bytes must be synced already; the move is synced when this resolves. If it throws,
   * the file is at `source` again.
   * @param sealed the file is read-only already
   */
  async moveIn(source: string, digest: string, sealed = false): Promise<void> {
    const target = this.file(digest);
    await this.#folders.make(dirname(target));
    if (!sealed) chmodSync(source, 0o444);
    let moved = false;
    try {
      renameSync(source, target);
      moved = true;
      await this.sync(digest);
    } catch (error) {
      if (moved) renameSync(target, source);
      if (!sealed) chmodSync(source, 0o600);
      throw error;
    }
  }

  /** Absolute path for a file that is being written; the next start deletes what is left there. */
  stagingPath(): string {
    return join(this.#data, INGESTS, `new-${randomHex()}`);
  }

  /** Writes and syncs a read-only file that can be moved in. @returns its absolute path */
  async stage(bytes: Uint8Array): Promise<string> {
    const path = this.stagingPath();
    try {
      using file = new OpenFile(path, 'wx', 0o444);
      file.write(bytes);
      await file.sync();
      return path;
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /** Writes and syncs a read-only file that can be moved in, chunk by chunk. @returns its absolute path and size */
  async stageChunks(chunks: AsyncIterable<Uint8Array>): Promise<{ path: string; size: number }> {
    const path = this.stagingPath();
    let size = 0;
    try {
      await using file = await open(path, 'wx', 0o444);
      for await (const chunk of chunks) {
        for (let done = 0; done < chunk.byteLength; ) {
          done += (await file.write(chunk, done, chunk.byteLength - done)).bytesWritten;
        }
        size += chunk.byteLength;
      }
      await file.sync();
      return { path, size };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /** Moves a file without a record back to `path` and makes it writable again. No-op if the file does not exist. */
  async takeBack(digest: string, path: string): Promise<void> {
    if (!(await this.has(digest))) return;
    renameSync(this.file(digest), path);
    chmodSync(path, 0o600);
  }

  /** Syncs the directory entries of a file and of the folders above it. */
  async sync(digest: string): Promise<void> {
    await this.#folders.sync(dirname(this.file(digest)));
  }

  /** The caller has made sure that nothing names the digest any longer. During a hold, it is deleted at its end. */
  async remove(digest: string): Promise<void> {
    if (this.hold.defer(digest)) return;
    await rm(this.file(digest), { force: true });
  }
}

/** Size of a file, in bytes; undefined if it does not exist. */
export function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** Hashes a file from start to end and writes the same bytes to `copy`. @returns digest and size in bytes */
export async function digestOf(
  file: FileHandle,
  algorithm: 'sha256' | 'sha512',
  copy?: FileHandle,
): Promise<{ digest: string; size: number }> {
  const hash = createHash(algorithm);
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  let size = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, size);
    if (bytesRead === 0) return { digest: `${algorithm}:${hash.digest('hex')}`, size };
    const bytes = buffer.subarray(0, bytesRead);
    hash.update(bytes);
    for (let done = 0; copy && done < bytesRead; ) {
      done += (await copy.write(bytes, done, bytesRead - done, size + done)).bytesWritten;
    }
    size += bytesRead;
  }
}
