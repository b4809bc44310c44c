import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Claim } from '../content/ingests.ts';
import { Fault, toWire } from '../contract/fault.ts';
import { ingestFiles } from './layout.ts';
import { noSpace, RESERVE, spaceOf } from './space.ts';

/** Free space is looked at after so many bytes were written, or fewer where the reserve is small. */
const LOOK_BYTES = 32 * 1024 * 1024;
const MIN_LOOK_BYTES = 1024 * 1024;

/**
 * The data volume as gateway and syncer see it: bytes only. Storage tells where something lies (`BlobPlace`,
 * `ManifestPlace`, `Claim`); these calls open, read and write it, and nothing else in those services touches a file
 * of content.
 */
export class Volume {
  readonly #root: string;
  readonly #reserve: () => number;
  /** By all files together, since free space was looked at. */
  #written = 0;

  /** @param reserve free space to be left alone, in bytes, as it is now */
  constructor(root: string, reserve: () => number = () => RESERVE) {
    this.#root = root;
    this.#reserve = reserve;
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
    const path = join(this.#root, ingestFiles(claim.path).data);
    const room = (bytes: number) => this.#mustHaveRoom(bytes);
    return new IngestFile(await open(path, constants.O_RDWR | constants.O_CREAT, 0o600), room);
  }

  /** The chunk log of an ingest: appended to, and read from the start. */
  async openLog(claim: Claim): Promise<FileHandle> {
    return open(join(this.#root, ingestFiles(claim.path).chunks), 'a+', 0o600);
  }

  /**
   * Opens what is there of content that is still coming, while its writer goes on.
   * @returns undefined where it has neither bytes nor log yet, or has neither any more: ask storage again
   */
  async openArriving({ path }: { path: string }): Promise<ArrivingFile | undefined> {
    const files = ingestFiles(path);
    const data = await this.openBlob({ path: files.data });
    const log = data && (await this.openBlob({ path: files.chunks }));
    if (data && log) return new ArrivingFile(data, log);
    await data?.[Symbol.asyncDispose]();
    return undefined;
  }

  async #mustHaveRoom(bytes: number): Promise<void> {
    const reserve = this.#reserve();
    this.#written += bytes;
    if (this.#written < Math.min(LOOK_BYTES, Math.max(MIN_LOOK_BYTES, reserve / 8))) return;
    const space = await spaceOf(this.#root, reserve);
    // The file is there already: what is short of inodes only takes its bytes all the same.
    if (space.free < reserve) throw noSpace(space);
    this.#written = 0;
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

  /** Bytes in it now, and which file it is: another one of the same name has another `id`. */
  async look(): Promise<{ size: number; id: number }> {
    const { size, ino } = await this.#file.stat();
    return { size, id: ino };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** The bytes of an ingest, and its chunk log. */
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

export class IngestFile extends BlobFile {
  readonly #ingest: FileHandle;
  readonly #room: (bytes: number) => Promise<void>;

  /** @param room is told before so many bytes are written, and throws where there is no room for them */
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
