import { type FileHandle, open } from 'node:fs/promises';
import type { Parity } from '#proto/archive/list.ts';
import type { Slice } from '#proto/archive/slices.ts';

/*
 * Parity: parts that are lost or damaged are computed again.
 *
 *   slice-files.ts     reads slices of files, column by column
 *   write-parity.ts    at an export: the parity slices of all parts
 *   rebuild-parts.ts   at an import: bad slices, from all others
 *
 * All slices are read in columns of the same width: memory is bounded, for any size of them.
 */

/** Bytes of each slice that are computed at a time: even, as products are computed for pairs of bytes. */
export const COLUMN_BYTES = 128 * 1024;

/** Where a slice is: a range of a file. */
export type SliceRange = { path: string; offset: number; size: number };

/** Where the slices of the parts are. @param pathOf path of a part, by its index */
export const rangesOf = (slices: readonly Slice[], pathOf: (part: number) => string): SliceRange[] =>
  slices.map(({ part, offset, size }) => ({ path: pathOf(part), offset, size }));

/** Where the parity slices are. @param pathOf path of a parity file, by its index */
export function parityRanges(
  { sliceBytes, parity, files }: Pick<Parity, 'sliceBytes' | 'parity' | 'files'>,
  pathOf: (file: number) => string,
): SliceRange[] {
  const ranges: SliceRange[] = [];
  for (const [file, { size }] of files.entries()) {
    for (let offset = 0; offset < size && ranges.length < parity.length; offset += sliceBytes) {
      ranges.push({ path: pathOf(file), offset, size: sliceBytes });
    }
  }
  return ranges;
}

/** Files that are open for reading, each once. */
export class OpenSlices implements AsyncDisposable {
  readonly #files = new Map<string, Promise<FileHandle>>();

  /** Reads a column of a slice into the beginning of the buffer; what the slice lacks is zero. */
  async read({ path, offset, size }: SliceRange, column: number, buffer: Uint8Array): Promise<void> {
    const length = Math.max(0, Math.min(buffer.byteLength, size - column));
    const file = await this.#open(path);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(buffer, done, length - done, offset + column + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    buffer.fill(0, done);
  }

  /** Bytes of the file. @throws the error of the file system */
  async sizeOf(path: string): Promise<number> {
    const file = await this.#open(path);
    return (await file.stat()).size;
  }

  #open(path: string): Promise<FileHandle> {
    const known = this.#files.get(path);
    if (known) return known;
    const opened = open(path, 'r');
    this.#files.set(path, opened);
    return opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) await file.then((one) => one.close()).catch(() => {});
  }
}
