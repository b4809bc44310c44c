/** Bytes that are equal where two contents may resemble each other. */
export const SEED_BYTES = 8;
/** Max entries of the table, of 4 bytes each, and max places that are kept in it. */
const MAX_TABLE_LOG = 20;
const MAX_PLACES = 1 << 19;
const MIN_TABLE_LOG = 12;

/** Finds places of a window by the bytes there. Its table is used again for each window. */
export class SeedIndex {
  readonly #table = new Int32Array(1 << MAX_TABLE_LOG);
  #shift = 32 - MIN_TABLE_LOG;

  /** @param window what is indexed from now on */
  fill(window: Uint8Array): void {
    const step = Math.ceil(window.length / MAX_PLACES);
    const places = Math.ceil(window.length / step);
    const log = Math.max(MIN_TABLE_LOG, Math.min(MAX_TABLE_LOG, Math.ceil(Math.log2(places + 1)) + 1));
    this.#shift = 32 - log;
    const table = this.#table;
    table.fill(-1, 0, 1 << log);
    for (let at = 0; at + SEED_BYTES <= window.length; at += step)
      table[hashAt(window, at) >>> this.#shift] = at;
  }

  /** A place of the window that may have the bytes of `content` at `at`: the caller compares. -1: there is none. */
  find(content: Uint8Array, at: number): number {
    return this.#table[hashAt(content, at) >>> this.#shift] as number;
  }
}

function hashAt(bytes: Uint8Array, at: number): number {
  const low =
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24);
  const high =
    (bytes[at + 4] as number) |
    ((bytes[at + 5] as number) << 8) |
    ((bytes[at + 6] as number) << 16) |
    ((bytes[at + 7] as number) << 24);
  const mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 0;
}
