import { createHash, type Hash } from 'node:crypto';
import type { Digest } from '#proto/oci/names.ts';

export type Algorithm = 'sha256' | 'sha512';
/** Hash of the first bytes of an upload. */
export type RunningHash = { algorithm: Algorithm; hash: Hash };

type Entry = RunningHash & { offset: number; storedAt: number };

const MAX_ENTRIES = 1_000;
const MAX_AGE_MS = 60 * 60 * 1_000;

/**
 * Hashes of uploads that this process wrote from byte 0, between the requests that bring their parts. They only save
 * storage from reading a file again: a missing one costs that read, and one that does not match the upload's offset is
 * not used. Bounded in number and age.
 */
export class RunningHashes {
  readonly #entries = new Map<string, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  static begin(algorithm: Algorithm): RunningHash {
    return { algorithm, hash: createHash(algorithm) };
  }

  /** Hash of the upload's first `offset` bytes; it is removed here and belongs to the caller alone. */
  take(id: string, offset: number): RunningHash | undefined {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    return entry?.offset === offset ? { algorithm: entry.algorithm, hash: entry.hash } : undefined;
  }

  put(id: string, offset: number, { algorithm, hash }: RunningHash, now = performance.now()): void {
    this.#entries.delete(id);
    // Oldest first.
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size < MAX_ENTRIES && now - entry.storedAt < MAX_AGE_MS) break;
      this.#entries.delete(oldest);
    }
    this.#entries.set(id, { algorithm, hash, offset, storedAt: now });
  }

  /** Digest of the first `offset` bytes, if known in this algorithm. The hash stays. */
  digest(id: string, offset: number, algorithm: Algorithm): Digest | undefined {
    const entry = this.#entries.get(id);
    if (entry?.offset !== offset || entry.algorithm !== algorithm) return undefined;
    return `${algorithm}:${entry.hash.copy().digest('hex')}`;
  }

  forget(id: string): void {
    this.#entries.delete(id);
  }
}
