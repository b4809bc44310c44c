import type { Bytes } from '../bytes/bytes.ts';
import { readVarint } from '../bytes/varint.ts';
import { BlockType } from './block-header.ts';
import { BLOCK_TYPE_MASK, DeflateInvalid, HAS_PADDING, LAST_BLOCK } from './parse.ts';
import type { BlockRecord } from './parse-writer.ts';

/** Longer than any header of a block with dynamic codes. */
const MAX_HEADER_BITS = 8_000;
/** Longer than any record of a block. */
const WINDOW_BYTES = 64 * 1024;
const MAX_RECORD_BYTES = 1_024;

/** Reads records of blocks in order, see `parse.ts`. */
export class BlockReader {
  readonly #blocks: Bytes;
  readonly #window = new Uint8Array(WINDOW_BYTES);
  #windowAt = 0;
  #filled = 0;
  /** Place of the next record. */
  at: number;

  constructor(blocks: Bytes, at = 0) {
    this.#blocks = blocks;
    this.at = at;
  }

  /** @throws DeflateInvalid */
  next(): BlockRecord {
    const record = this.#record();
    const flags = record[0];
    if (flags === undefined) throw new DeflateInvalid('the records of blocks end before the stream');
    let at = 1;
    const padding = flags & HAS_PADDING ? (record[at] ?? 0) : 0;
    if (flags & HAS_PADDING) at += 1;
    const count = must(readVarint(record, at));
    at = count.end;
    const type = flags & BLOCK_TYPE_MASK;
    const block = { type, isLast: (flags & LAST_BLOCK) !== 0, count: count.value, padding };
    if (type !== BlockType.dynamic) {
      this.at += at;
      return block;
    }
    const bits = must(readVarint(record, at));
    if (bits.value > MAX_HEADER_BITS) throw new DeflateInvalid('the header of a block is too long');
    const end = bits.end + Math.ceil(bits.value / 8);
    if (end > record.length) throw new DeflateInvalid('the records of blocks end within one');
    this.at += end;
    return { ...block, header: { bits: bits.value, bytes: record.slice(bits.end, end) } };
  }

  /** The next record, and what follows. */
  #record(): Uint8Array {
    const from = this.at - this.#windowAt;
    if (from < 0 || from + MAX_RECORD_BYTES > this.#filled) {
      this.#windowAt = this.at;
      this.#filled = this.#blocks.read(this.#window, this.at);
      return this.#window.subarray(0, this.#filled);
    }
    return this.#window.subarray(from, this.#filled);
  }
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new DeflateInvalid('a number in the records of blocks is damaged');
  return value;
}
