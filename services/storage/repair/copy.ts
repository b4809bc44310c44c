import { type FileHandle, open } from 'node:fs/promises';

/** Reads into a buffer, as `FileHandle.read` does. @returns how many bytes */
export type Read = (file: FileHandle, buffer: Buffer, position: number) => Promise<number>;

export const readAt: Read = async (file, buffer, position) =>
  (await file.read(buffer, 0, buffer.byteLength, position)).bytesRead;

export type Range = { offset: number; length: number };

const PIECE_BYTES = 1024 * 1024;
/** What a disk fails to read is a sector, and a sector is not larger. */
const SECTOR_BYTES = 4096;

/**
 * Copies a file, with zeros for each sector that can't be read.
 * @returns what could not be read, in order
 */
export async function copyReadable(from: string, to: string, read: Read): Promise<Range[]> {
  await using source = await open(from, 'r');
  await using target = await open(to, 'w', 0o600);
  const { size } = await source.stat();
  const unreadable: Range[] = [];
  for (let offset = 0; offset < size; offset += PIECE_BYTES) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, size - offset));
    await fill(piece, offset, (part, position) => readFully(source, part, position, read), unreadable);
    await target.writeFile(piece);
  }
  return unreadable;
}

/** Reads until the buffer is full or the file ends. @returns how many bytes */
export async function readFully(
  file: FileHandle,
  buffer: Buffer,
  position: number,
  read: Read,
): Promise<number> {
  let done = 0;
  while (done < buffer.byteLength) {
    const count = await read(file, buffer.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

async function fill(
  piece: Buffer,
  offset: number,
  read: (part: Buffer, position: number) => Promise<number>,
  unreadable: Range[],
): Promise<void> {
  try {
    await read(piece, offset);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    piece.fill(0);
    if (piece.byteLength <= SECTOR_BYTES) return add(unreadable, { offset, length: piece.byteLength });
    for (let at = 0; at < piece.byteLength; at += SECTOR_BYTES) {
      await fill(piece.subarray(at, at + SECTOR_BYTES), offset + at, read, unreadable);
    }
  }
}

/** Ranges that follow each other are one. */
function add(ranges: Range[], { offset, length }: Range): void {
  const last = ranges.at(-1);
  if (last && last.offset + last.length === offset) last.length += length;
  else ranges.push({ offset, length });
}

/** The disk can't read it: other errors have other causes. */
export const isUnreadable = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EIO';
