import type { ByteSink, Pieces } from '../bytes/bytes.ts';
import { writeVarint } from '../bytes/varint.ts';
import { DeltaInvalid } from './invalid.ts';
import { NumberReader } from './number-reader.ts';

/*
 * An alignment: regions of new content, in order and without overlaps, that resemble regions of the base. Of each:
 *
 *   skipped    bytes of new content before it
 *   length
 *   from       its place in the base, less the end of the last one there: twice the number, or less 1 if it is negative
 */

/** `length` bytes at `at` of the new content, which resemble those at `from` of the base, byte by byte. */
export type Region = { at: number; from: number; length: number };

/** Bound of the work that regions may cause. */
export const MIN_REGION_BYTES = 16;
const MAX_RECORD_BYTES = 24;

export class RegionWriter {
  readonly #sink: ByteSink;
  readonly #bytes = new Uint8Array(MAX_RECORD_BYTES);
  #last: Region | undefined;
  #end = 0;
  #from = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Regions that continue one another become one. */
  add({ at, from, length }: Region): void {
    const last = this.#last;
    if (last && last.at + last.length === at && last.from + last.length === from) {
      last.length += length;
      return;
    }
    this.#write();
    this.#last = { at, from, length };
  }

  end(): void {
    this.#write();
    this.#last = undefined;
  }

  #write(): void {
    const last = this.#last;
    if (!last || last.length < MIN_REGION_BYTES) return;
    const distance = last.from - this.#from;
    let end = writeVarint(this.#bytes, 0, last.at - this.#end);
    end = writeVarint(this.#bytes, end, last.length);
    end = writeVarint(this.#bytes, end, distance < 0 ? -distance * 2 - 1 : distance * 2);
    this.#sink.append(this.#bytes.subarray(0, end));
    this.#end = last.at + last.length;
    this.#from = last.from + last.length;
  }
}

/** @throws DeltaInvalid */
export function* readRegions(stream: Pieces): Generator<Region> {
  const numbers = new NumberReader(stream);
  let [end, last] = [0, 0];
  for (let skipped = numbers.next(); skipped !== undefined; skipped = numbers.next()) {
    const length = numbers.required();
    const distance = numbers.required();
    if (length < MIN_REGION_BYTES) throw new DeltaInvalid('a region is too short');
    const at = end + skipped;
    const from = last + (distance % 2 === 1 ? -(distance + 1) / 2 : distance / 2);
    end = at + length;
    last = from + length;
    if (from < 0 || !Number.isSafeInteger(end) || !Number.isSafeInteger(last)) {
      throw new DeltaInvalid('a region is outside of the base');
    }
    yield { at, from, length };
  }
}
