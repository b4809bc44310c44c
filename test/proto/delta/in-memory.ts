import { createHash } from 'node:crypto';
import { type Bytes, bytesOf, type Scratch } from '#proto/delta/bytes/bytes.ts';
import { applyDelta, type DeltaBlob, encodeDelta } from '#proto/delta/delta.ts';

const FIRST_BYTES = 4 * 1024;

/** Scratch bytes in memory. */
export class Memory implements Scratch {
  size = 0;
  #buffer = Buffer.allocUnsafe(FIRST_BYTES);

  append(bytes: Uint8Array): void {
    if (this.size + bytes.length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.size + bytes.length));
      this.#buffer.copy(larger, 0, 0, this.size);
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.size);
    this.size += bytes.length;
  }

  read(target: Uint8Array, at: number): number {
    const piece = this.#buffer.subarray(at, Math.max(at, Math.min(this.size, at + target.length)));
    target.set(piece);
    return piece.length;
  }

  get content(): Buffer {
    return this.#buffer.subarray(0, this.size);
  }
}

export const BOUNDS = {
  maxContentBytes: 2 ** 30,
  maxContentRatio: 2_000,
  maxScratchBytes: 2 ** 30,
  maxTimeMs: 60_000,
};
export const options = { scratch: () => new Memory(), bounds: BOUNDS };

export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
export const storedOf = (bytes: Uint8Array) => ({ length: bytes.length, sha256: sha256(bytes) });
export const blobOf = (bytes: Uint8Array): DeltaBlob => ({ bytes: bytesOf(bytes), sha256: sha256(bytes) });

export function bufferOf(bytes: Bytes): Buffer {
  const buffer = Buffer.alloc(bytes.size);
  bytes.read(buffer, 0);
  return buffer;
}

export const encoded = (target: Uint8Array, bases: readonly Uint8Array[], some = {}): Buffer =>
  bufferOf(encodeDelta({ ...options, ...some, target: blobOf(target), bases: bases.map(blobOf) }));

/** What a delta makes. @param target the expected one */
export function applied(
  delta: Uint8Array,
  bases: readonly Uint8Array[],
  target: ReturnType<typeof storedOf>,
  some = {},
): Buffer {
  const sink = new Memory();
  applyDelta({ ...options, ...some, delta: bytesOf(delta), bases: bases.map(blobOf), target, sink });
  return sink.content;
}
