import { writeVarint } from '../bytes/varint.ts';

/** Part of stored bytes: as they are in the content, or a deflate stream whose content is there instead. */
export type Segment = { isDeflate: boolean /** Bytes of the content. */; length: number };

const MAX_SEGMENT_BYTES = 9;

/** Each segment as LEB128 of twice its length, plus 1 for a deflate stream. */
export class SegmentWriter {
  readonly #append: (bytes: Uint8Array) => void;
  readonly #buffer = new Uint8Array(MAX_SEGMENT_BYTES);

  constructor(append: (bytes: Uint8Array) => void) {
    this.#append = append;
  }

  add({ isDeflate, length }: Segment): void {
    const end = writeVarint(this.#buffer, 0, length * 2 + Number(isDeflate));
    this.#append(this.#buffer.subarray(0, end));
  }
}

export const segmentOf = (number: number): Segment => ({
  isDeflate: number % 2 === 1,
  length: Math.floor(number / 2),
});
