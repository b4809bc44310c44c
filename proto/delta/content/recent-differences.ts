/** Entries of the list. An index of it is a byte. */
const MAX_RECENT = 250;

/** Instead of an index: a difference that is not in the list. */
export const NEW_DIFFERENCE = 255;
/** Bytes that differ together, at most: addresses and offsets in programs have as many. */
export const WORD_BYTES = 4;

/** The last differences, each once, the latest first: addresses that moved together have the same one. */
export class RecentDifferences {
  readonly #list = new Int32Array(MAX_RECENT);
  #count = 0;

  /** @returns its index, or -1; it is the latest one now */
  take(difference: number): number {
    const list = this.#list;
    let index = 0;
    while (index < this.#count && list[index] !== difference) index += 1;
    const isKnown = index < this.#count;
    if (!isKnown) {
      this.#count = Math.min(MAX_RECENT, this.#count + 1);
      list.copyWithin(1, 0, this.#count - 1);
    } else list.copyWithin(1, 0, index);
    list[0] = difference;
    return isKnown ? index : -1;
  }

  /** @returns undefined if there is none */
  at(index: number): number | undefined {
    return index < this.#count ? this.#list[index] : undefined;
  }
}

/** What is added to bytes of the base, as a little-endian number that wraps around. */
export function addDifference(bytes: Uint8Array, at: number, difference: number): void {
  let rest = difference;
  for (let index = at; index < Math.min(bytes.length, at + WORD_BYTES); index += 1) {
    rest += bytes[index] as number;
    bytes[index] = rest;
    rest >>= 8;
  }
}

/** The difference that makes the first bytes the second ones, from a place on. */
export function differenceAt(before: Uint8Array, after: Uint8Array, at: number, length: number): number {
  let difference = 0;
  for (let index = length - 1; index >= 0; index -= 1) {
    const one = (after[at + index] as number) - (before[at + index] as number);
    difference = (Math.imul(difference, 256) + one) | 0;
  }
  const unused = 8 * (WORD_BYTES - length);
  return (difference << unused) >> unused;
}
