import { createHash, type Hash } from 'node:crypto';
import { type Digest, splitDigest } from '#proto/oci/names.ts';

/** Digest of content that arrives in order from byte 0; none if a byte comes out of order. */
export class OrderedHash {
  readonly #algorithm: string;
  #hash: Hash | undefined;
  #hashed = 0;

  /** @param like a digest of the same algorithm */
  constructor(like: Digest) {
    [this.#algorithm] = splitDigest(like);
    this.#hash = createHash(this.#algorithm);
  }

  /** @param at offset of the bytes in the content */
  update(bytes: Buffer, at: number): void {
    if (at === this.#hashed) {
      this.#hash?.update(bytes);
      this.#hashed += bytes.length;
    } else this.#hash = undefined;
  }

  /** Call it once. @returns undefined unless exactly `size` bytes came, in order */
  digest(size: number): Digest | undefined {
    return this.#hash && this.#hashed === size ? `${this.#algorithm}:${this.#hash.digest('hex')}` : undefined;
  }
}
