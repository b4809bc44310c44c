import type { ByteReader } from '#proto/volume/volume.ts';
import { type Extent, Extents } from '../link/answers/extents.ts';
import type { Copy } from './match.ts';

/** Min bytes in a row that are copied: the request for what is around them costs as much. */
const MIN_BYTES = 256;
/** Max number of such rows: each is a gap between requests. The longest ones are copied. */
const MAX_ROWS = 20_000;

type SourcedCopy = Copy & { base: ByteReader };

/** The bytes of a layer that other layers here have. */
export class CopiedBytes {
  readonly #copies: SourcedCopy[] = [];
  readonly #covered = new Extents();

  /** Adds what this layer has and earlier ones do not. */
  add(base: ByteReader, copies: readonly Copy[]): void {
    for (const { from, at, length } of copies) {
      for (const { start, end } of this.#covered.missing(at + length, at)) {
        this.#copies.push({ base, from: from + start - at, at: start, length: end - start });
      }
      this.#covered.add({ start: at, end: at + length });
    }
    this.#copies.sort((one, other) => one.at - other.at);
  }

  /** What is worth to be copied of the bytes before `until`, in order. */
  rows(until = Number.POSITIVE_INFINITY): Extent[] {
    const rows = [...this.#covered]
      .map(({ start, end }) => ({ start, end: Math.min(end, until) }))
      .filter(({ start, end }) => end - start >= MIN_BYTES);
    if (rows.length <= MAX_ROWS) return rows;
    const lengths = rows.map(({ start, end }) => end - start).sort((one, other) => other - one);
    const min = lengths[MAX_ROWS] as number;
    return rows.filter(({ start, end }) => end - start > min);
  }

  /** Reads bytes of the layer that are within a row. @returns false if a base does not have them any more */
  async read(buffer: Buffer, position: number): Promise<boolean> {
    let index = this.#indexAt(position);
    for (let done = 0; done < buffer.length; index += 1) {
      const copy = this.#copies[index];
      const skipped = position + done - (copy?.at ?? Number.POSITIVE_INFINITY);
      if (!copy || skipped < 0 || skipped >= copy.length) return false;
      const length = Math.min(buffer.length - done, copy.length - skipped);
      const part = buffer.subarray(done, done + length);
      if ((await copy.base.read(part, copy.from + skipped)) < length) return false;
      done += length;
    }
    return true;
  }

  /** Index of the last copy that begins at `at` or before. */
  #indexAt(at: number): number {
    let low = 0;
    let high = this.#copies.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#copies[middle] as SourcedCopy).at <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
