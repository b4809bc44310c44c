import { Slots } from '../../transfer/slots.ts';

/** Max manifests fetched in parallel, over all images: each may have 4 MiB, and is counted only after its fetch. */
const MAX_FETCHES = 16;
/** Memory for the manifests of images that are loaded ahead, in bytes. */
const MAX_BYTES = 128 * 1024 * 1024;

/** Memory budget that the images of a pass share. */
export class MemoryBudget {
  readonly fetches = new Slots(MAX_FETCHES);
  readonly #bytes: number;
  #held = 0;

  constructor(bytes = MAX_BYTES) {
    this.#bytes = bytes;
  }

  get isFull(): boolean {
    return this.#held >= this.#bytes;
  }

  hold(bytes: number): void {
    this.#held += bytes;
  }

  release(bytes: number): void {
    this.#held -= bytes;
  }
}

/** Memory does not suffice to load the image now: it waits until others are pulled. */
export class OutOfMemoryBudget extends Error {}
