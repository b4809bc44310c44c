import { Slots } from '../../transfer/slots.ts';

/** Manifests that come at a time, over all images: each may have 4 MiB, and counts only when it is there. */
const FETCHES = 16;
/** Memory for the manifests of images that are looked at ahead, in bytes. */
const ROOM_BYTES = 128 * 1024 * 1024;

/** Memory that the images of a pass share. */
export class Room {
  readonly fetches = new Slots(FETCHES);
  readonly #bytes: number;
  #held = 0;

  constructor(bytes = ROOM_BYTES) {
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

/** An image has to wait until others are here: there is no room to look at it now. */
export class NoRoom extends Error {}
