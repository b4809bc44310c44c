import { hash } from 'node:crypto';

/**
 * Places of chunks by their content: 16 bytes of memory for each slot. Of equal chunks, the first counts. Content of
 * very short chunks may have more of them than there is space for; the others are left out.
 */
export class ChunkIndex {
  readonly #keys: Uint32Array;
  readonly #places: Float64Array;
  readonly #mask: number;
  #free: number;

  /** @param chunks expected number of chunks */
  constructor(chunks: number) {
    const slots = 1 << Math.ceil(Math.log2(chunks * 1.5 + 2));
    this.#keys = new Uint32Array(slots * 2);
    this.#places = new Float64Array(slots).fill(-1);
    this.#mask = slots - 1;
    // So that a key which is not there is found to be missing soon.
    this.#free = Math.floor(slots * 0.75);
  }

  add(chunk: Uint8Array, at: number): void {
    if (this.#free === 0) return;
    const [low, high] = keyOf(chunk);
    const slot = this.#slot(low, high);
    if (this.#places[slot] !== -1) return;
    this.#free -= 1;
    this.#keys[slot * 2] = low;
    this.#keys[slot * 2 + 1] = high;
    this.#places[slot] = at;
  }

  /** Place of a chunk that is equal in all likelihood: the caller compares. */
  find(chunk: Uint8Array): number | undefined {
    const [low, high] = keyOf(chunk);
    const place = this.#places[this.#slot(low, high)] as number;
    return place === -1 ? undefined : place;
  }

  /** That of the key, or the free one where it belongs. */
  #slot(low: number, high: number): number {
    let slot = low & this.#mask;
    while (this.#places[slot] !== -1 && (this.#keys[slot * 2] !== low || this.#keys[slot * 2 + 1] !== high)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}

function keyOf(chunk: Uint8Array): [number, number] {
  const digest = hash('sha1', chunk, 'buffer');
  return [digest.readUInt32LE(0), digest.readUInt32LE(4)];
}
