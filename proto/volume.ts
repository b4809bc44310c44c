import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Claim } from './ingests.ts';

/**
 * The data volume as gateway and syncer see it: bytes only. Storage tells where something lies (`BlobPlace`,
 * `ManifestPlace`, `Claim`); these calls open, read and write it, and nothing else in those services touches a file
 * of content.
 */
export class Volume {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Opens committed content. It never changes, and stays readable while it is open even when it is deleted.
   * @returns undefined where it is gone already: ask storage again
   */
  async openBlob(place: { path: string }): Promise<BlobFile | undefined> {
    try {
      return new BlobFile(await open(join(this.#root, place.path), 'r'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Opens the bytes of an ingest that the caller holds a claim on. */
  async openIngest(claim: Claim): Promise<IngestFile> {
    const path = join(this.#root, claim.path, 'data');
    return new IngestFile(await open(path, constants.O_RDWR | constants.O_CREAT, 0o600));
  }

  /** The chunk log of an ingest: appended to, and read from the start. */
  async openLog(claim: Claim): Promise<FileHandle> {
    return open(join(this.#root, claim.path, 'chunks'), 'a+', 0o600);
  }
}

export class BlobFile implements AsyncDisposable {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Reads at `position` until the buffer is full or the content ends. @returns bytes read */
  async read(buffer: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < buffer.byteLength) {
      const { bytesRead } = await this.#file.read(buffer, done, buffer.byteLength - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

export class IngestFile extends BlobFile {
  readonly #ingest: FileHandle;

  constructor(file: FileHandle) {
    super(file);
    this.#ingest = file;
  }

  /** Writes all of the buffers, one after the other, from `position` on. */
  async write(buffers: Uint8Array[], position: number): Promise<void> {
    let rest = buffers;
    let at = position;
    while (rest.length > 0) {
      let { bytesWritten } = await this.#ingest.writev(rest, at);
      at += bytesWritten;
      while (rest.length > 0 && bytesWritten >= (rest[0] as Uint8Array).byteLength) {
        bytesWritten -= (rest[0] as Uint8Array).byteLength;
        rest = rest.slice(1);
      }
      if (bytesWritten > 0) rest = [(rest[0] as Uint8Array).subarray(bytesWritten), ...rest.slice(1)];
    }
  }

  /** Brings what was written to the disk. */
  async sync(): Promise<void> {
    await this.#ingest.datasync();
  }
}
