import { type FileHandle, open } from 'node:fs/promises';

/** Reads into a buffer, like `FileHandle.read`. @returns count of bytes read */
export type Read = (file: FileHandle, buffer: Buffer, position: number) => Promise<number>;

export const readAt: Read = async (file, buffer, position) =>
  (await file.read(buffer, 0, buffer.byteLength, position)).bytesRead;

export type Range = { offset: number; length: number };

/** Max bytes per read. */
const MAX_READ_BYTES = 1024 * 1024;
/** Max size of a sector, the unit that a disk fails to read, in bytes. */
const MAX_SECTOR_BYTES = 4096;

/**
 * Copies a file, with zeros for each sector that can't be read.
 * @returns unreadable ranges, in order
 */
export async function copyReadable(from: string, to: string, read: Read): Promise<Range[]> {
  await using source = await open(from, 'r');
  await using target = await open(to, 'w', 0o600);
  const { size } = await source.stat();
  const unreadable: Range[] = [];
  for (let offset = 0; offset < size; offset += MAX_READ_BYTES) {
    const piece = Buffer.alloc(Math.min(MAX_READ_BYTES, size - offset));
    await fill(piece, offset, (part, position) => readFully(source, part, position, read), unreadable);
    await target.writeFile(piece);
  }
  return unreadable;
}

/** Reads until the buffer is full or the file ends. @returns count of bytes read */
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
    if (!isReadError(error)) throw error;
    piece.fill(0);
    if (piece.byteLength <= MAX_SECTOR_BYTES) return add(unreadable, { offset, length: piece.byteLength });
    for (let at = 0; at < piece.byteLength; at += MAX_SECTOR_BYTES) {
      await fill(piece.subarray(at, at + MAX_SECTOR_BYTES), offset + at, read, unreadable);
    }
  }
}

/** Merges adjacent ranges. */
function add(ranges: Range[], { offset, length }: Range): void {
  const last = ranges.at(-1);
  if (last && last.offset + last.length === offset) last.length += length;
  else ranges.push({ offset, length });
}

/** Whether the disk failed to read (EIO). Other errors have other causes. */
export const isReadError = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EIO';
