import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Claim } from '../content/ingests.ts';
import { Fault, toWire } from '../contract/fault.ts';
import { changeClaim } from './claim-files.ts';
import { ingestFiles } from './layout.ts';
import { noSpace, RESERVE, spaceOf } from './space.ts';

/**
 * The data volume: the folder with the bytes of a layer, shared by all its services. `layout.ts` spells the paths on
 * it, `space.ts` measures free space against the reserve, `ballast.ts` holds space back for a full volume,
 * `chunk-log.ts` is the format of the record of a transfer's chunks, `claim-files.ts` has the state of claims on
 * uploads, `folder-identity.ts` detects a copied folder, `boot-id.ts` a restart of the machine, and `repair-request.ts`
 * declares the messages of `terrace repair`.
 *
 * Storage opens an ingest and hands out a claim on it. The holder of the claim opens the ingest here and writes its
 * bytes, and for a transfer its chunk log; others may read it meanwhile. Storage then commits the ingest: from there on
 * it is a blob, which never changes and is opened here for reading until storage deletes it.
 */

/** Written bytes after which free space is checked; fewer if the reserve is small. */
const CHECK_BYTES = 32 * 1024 * 1024;
const MIN_CHECK_BYTES = 1024 * 1024;

/**
 * The data volume as gateway and syncer use it: bytes only. Storage answers where content is (`BlobPlace`,
 * `ManifestPlace`, `Claim`); these methods open, read and write it, and nothing else in those services accesses files
 * of content.
 */
export class Volume {
  readonly #root: string;
  readonly #reserve: () => number;
  /** Bytes written to all files since the last check of free space. */
  #written = 0;

  /** @param reserve returns the current reserve of free space, in bytes */
  constructor(root: string, reserve: () => number = () => RESERVE) {
    this.#root = root;
    this.#reserve = reserve;
  }

  /**
   * Opens committed content. It never changes, and stays readable while it is open, even after its deletion.
   * @returns undefined if it was deleted already: ask storage again
   */
  async openBlob(location: { path: string }): Promise<BlobFile | undefined> {
    try {
      return new BlobFile(await open(join(this.#root, location.path), 'r'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Opens the bytes of an ingest on which the caller holds a claim. */
  async openIngest(claim: Claim): Promise<IngestFile> {
    const path = join(this.#root, ingestFiles(claim.path).data);
    const room = (bytes: number) => this.#checkSpace(bytes);
    return new IngestFile(await open(path, constants.O_RDWR | constants.O_CREAT, 0o600), room);
  }

  /**
   * Makes an idle claim active, so that the caller holds it and may write.
   * @returns false if it is lost: storage granted the upload to another writer, or deleted it
   */
  resumeClaim({ path, claim: token }: Claim): Promise<boolean> {
    const folder = join(this.#root, path);
    return changeClaim(folder, { token, state: 'idle' }, { token, state: 'active' });
  }

  /**
   * Makes an active claim idle, after its holder has closed the file. What was written counts once this resolves.
   * @returns false if it is lost, as for `resumeClaim`
   */
  suspendClaim({ path, claim: token }: Claim): Promise<boolean> {
    const folder = join(this.#root, path);
    return changeClaim(folder, { token, state: 'active' }, { token, state: 'idle' });
  }

  /** Opens the chunk log of an ingest, to append to it and to read it from the start. */
  async openLog(claim: Claim): Promise<FileHandle> {
    return open(join(this.#root, ingestFiles(claim.path).chunks), 'a+', 0o600);
  }

  /**
   * Opens content that is still being transferred, concurrently with its writer.
   * @returns undefined if its bytes or its log do not exist yet, or no longer: ask storage again
   */
  async openArriving({ path }: { path: string }): Promise<ArrivingFile | undefined> {
    const files = ingestFiles(path);
    const data = await this.openBlob({ path: files.data });
    const log = data && (await this.openBlob({ path: files.chunks }));
    if (data && log) return new ArrivingFile(data, log);
    await data?.[Symbol.asyncDispose]();
    return undefined;
  }

  async #checkSpace(bytes: number): Promise<void> {
    const reserve = this.#reserve();
    this.#written += bytes;
    if (this.#written < Math.min(CHECK_BYTES, Math.max(MIN_CHECK_BYTES, reserve / 8))) return;
    const space = await spaceOf(this.#root, reserve);
    // The file exists already, so it does not matter if inodes are short.
    if (space.free < reserve) throw noSpace(space);
    this.#written = 0;
  }
}

/** Bytes that are read at any position. */
export interface ByteReader {
  read(buffer: Uint8Array, position: number): Promise<number>;
}

/** A file to which another process may append. */
export interface GrowingFile extends ByteReader {
  stat(): Promise<{ size: number; id: number }>;
}

/** A file that is open for reading. */
export class BlobFile implements GrowingFile, AsyncDisposable {
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

  /** Current size in bytes, and identity of the file: another file of the same name has another `id`. */
  async stat(): Promise<{ size: number; id: number }> {
    const { size, ino } = await this.#file.stat();
    return { size, id: ino };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** The bytes of an ingest and its chunk log, open for reading. */
export class ArrivingFile implements AsyncDisposable {
  readonly data: BlobFile;
  readonly log: BlobFile;

  constructor(data: BlobFile, log: BlobFile) {
    this.data = data;
    this.log = log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.data[Symbol.asyncDispose](), this.log[Symbol.asyncDispose]()]);
  }
}

/** The bytes of an ingest, open for reading and writing. */
export class IngestFile extends BlobFile {
  readonly #ingest: FileHandle;
  readonly #room: (bytes: number) => Promise<void>;

  /** @param room is called with the number of bytes before each write, and throws if there is no space for them */
  constructor(file: FileHandle, room: (bytes: number) => Promise<void> = async () => {}) {
    super(file);
    this.#ingest = file;
    this.#room = room;
  }

  /** Writes all of the buffers, one after the other, from `position` on. @throws Fault `no-space` */
  async write(buffers: Uint8Array[], position: number): Promise<void> {
    await this.#room(buffers.reduce((sum, { byteLength }) => sum + byteLength, 0));
    try {
      await this.#write(buffers, position);
    } catch (cause) {
      const { code, message } = toWire(cause);
      throw code === 'no-space' ? new Fault(code, message, { cause }) : cause;
    }
  }

  async #write(buffers: Uint8Array[], position: number): Promise<void> {
    let remaining = buffers;
    let at = position;
    while (remaining.length > 0) {
      let { bytesWritten } = await this.#ingest.writev(remaining, at);
      at += bytesWritten;
      while (remaining.length > 0 && bytesWritten >= (remaining[0] as Uint8Array).byteLength) {
        bytesWritten -= (remaining[0] as Uint8Array).byteLength;
        remaining = remaining.slice(1);
      }
      if (bytesWritten > 0)
        remaining = [(remaining[0] as Uint8Array).subarray(bytesWritten), ...remaining.slice(1)];
    }
  }

  /** Syncs the written bytes to disk. */
  async sync(): Promise<void> {
    await this.#ingest.datasync();
  }
}
