import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Pace } from './pace.ts';

/** Part of a file. `size`, `offset` in bytes. */
export type Place = { path: string; offset: number; size: number };

export type HashedPlace = {
  /** Hexadecimal. */
  hex: string;
  /** Bytes that were there: fewer than asked for if the file is too short. */
  size: number;
  /** It was read from the disk, not through the page cache. */
  direct: boolean;
};

const READ_BYTES = 1024 * 1024;
/** O_DIRECT requires positions, lengths and addresses in multiples of the sector size of the disk. */
const SECTOR_BYTES = 4096;

/** Buffers that are not in use. A resizable buffer begins at a page of memory, as O_DIRECT requires. */
const free: Uint8Array[] = [];
const takeBuffer = (): Uint8Array =>
  free.pop() ?? new Uint8Array(new ArrayBuffer(READ_BYTES, { maxByteLength: READ_BYTES }));

/** Hashes a part of a file as it is on the disk, where the file system permits O_DIRECT. */
export async function hashOnDisk(place: Place, algorithm: string, pace: Pace): Promise<HashedPlace> {
  try {
    return { ...(await hash(place, algorithm, pace, constants.O_DIRECT)), direct: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    return { ...(await hash(place, algorithm, pace, 0)), direct: false };
  }
}

async function hash({ path, offset, size }: Place, algorithm: string, pace: Pace, flag: number) {
  const sum = createHash(algorithm);
  const buffer = takeBuffer();
  const end = offset + size;
  let done = 0;
  try {
    await using file = await open(path, constants.O_RDONLY | flag);
    for (let at = offset - (offset % SECTOR_BYTES); at < end; ) {
      const bytesRead = await readFully(file, buffer, at);
      const part = buffer.subarray(Math.max(0, offset - at), Math.min(bytesRead, end - at));
      if (part.byteLength > 0) sum.update(part);
      done += part.byteLength;
      at += bytesRead;
      await pace(part.byteLength);
      if (bytesRead < buffer.byteLength) break;
    }
  } finally {
    free.push(buffer);
  }
  return { hex: sum.digest('hex'), size: done };
}

/** Fewer bytes than the buffer only at the end of the file. */
async function readFully(file: FileHandle, buffer: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.byteLength) {
    const { bytesRead } = await file.read(buffer, done, buffer.byteLength - done, position + done);
    done += bytesRead;
    // A part of a sector is the end: a further direct read would not be aligned.
    if (bytesRead === 0 || done % SECTOR_BYTES !== 0) break;
  }
  return done;
}
