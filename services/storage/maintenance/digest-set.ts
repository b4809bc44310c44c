/** Number of slots at first; a power of two, like all later ones. */
const MIN_SLOTS = 1_024;

/** One of several parts of all digests, of about the same size. `of`: how many there are. */
export type Slice = { index: number; of: number };

/**
 * A set of digests that takes 16 to 32 bytes for each, however long they are: it holds their first 64 bits. Digests
 * are spread evenly, so two that begin alike are not to be expected; `has` is then true for both.
 */
export class DigestSet {
  readonly #slice: Slice;
  /** Two numbers per slot, open addressing; both zero: the slot is free. At most half of the slots are used. */
  #slots = new Uint32Array(2 * MIN_SLOTS);
  #size = 0;

  /** @param slice all others are ignored */
  constructor(slice: Slice = { index: 0, of: 1 }) {
    this.#slice = slice;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether the digest is of the slice of this set. */
  covers(digest: string): boolean {
    const { index, of } = this.#slice;
    return Math.floor((this.#numbers(digest)[0] / 2 ** 32) * of) === index;
  }

  add(digest: string): void {
    if (!this.covers(digest)) return;
    const [high, low] = this.#numbers(digest);
    const slot = this.#find(high, low);
    if (this.#slots[slot] !== 0 || this.#slots[slot + 1] !== 0) return;
    this.#slots[slot] = high;
    this.#slots[slot + 1] = low;
    this.#size += 1;
    if (this.#size * 4 > this.#slots.length) this.#grow();
  }

  has(digest: string): boolean {
    const slot = this.#find(...this.#numbers(digest));
    return this.#slots[slot] !== 0 || this.#slots[slot + 1] !== 0;
  }

  #numbers(digest: string): [high: number, low: number] {
    const from = digest.indexOf(':') + 1;
    const high = Number.parseInt(digest.slice(from, from + 8), 16);
    const low = Number.parseInt(digest.slice(from + 8, from + 16), 16);
    return [high, high === 0 && low === 0 ? 1 : low];
  }

  /** The slot of these numbers, or the free slot in which they would be. */
  #find(high: number, low: number): number {
    const slots = this.#slots;
    // Of the lower number: the upper ones of a slice are alike.
    for (let slot = (2 * low) % slots.length; ; slot = (slot + 2) % slots.length) {
      const isFree = slots[slot] === 0 && slots[slot + 1] === 0;
      if (isFree || (slots[slot] === high && slots[slot + 1] === low)) return slot;
    }
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(2 * before.length);
    for (let slot = 0; slot < before.length; slot += 2) {
      const [high, low] = [before[slot] as number, before[slot + 1] as number];
      if (high === 0 && low === 0) continue;
      const target = this.#find(high, low);
      this.#slots[target] = high;
      this.#slots[target + 1] = low;
    }
  }
}
