import { type Claim, MAX_IDLE_CLAIM_MS } from '#proto/content/ingests.ts';

/** `renewedAt`: last renewal, or the request that granted it, in ms of `performance.now`. */
export type IdleClaim = { claim: Claim; renewedAt: number };

const MAX_ENTRIES = 1_000;

/**
 * Claims of this process on uploads that wait for their next request, each with the offset at which that continues.
 * They only save requests to storage: without one, the upload is claimed again. An entry may be lost by now; it must be
 * resumed on the volume before it is used. Storage needs no notice of one that is dropped, as it grants an upload whose
 * claim is idle to any process that asks. Bounded in number and age.
 */
export class IdleClaims {
  readonly #entries = new Map<string, IdleClaim & { repository: string }>();
  readonly #maxMs: number;

  /** @param maxMs max time since the last renewal of a claim that is taken */
  constructor(maxMs = MAX_IDLE_CLAIM_MS) {
    this.#maxMs = maxMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  put(repository: string, { claim, renewedAt }: IdleClaim): void {
    this.#entries.delete(claim.id);
    // Oldest first.
    for (const id of this.#entries.keys()) {
      if (this.#entries.size < MAX_ENTRIES) break;
      this.#entries.delete(id);
    }
    this.#entries.set(claim.id, { repository, claim, renewedAt });
  }

  /** The claim on an upload of this repository; it is removed here and belongs to the caller alone. */
  take(repository: string, id: string, now = performance.now()): IdleClaim | undefined {
    const entry = this.#entries.get(id);
    if (entry?.repository !== repository) return undefined;
    this.#entries.delete(id);
    return now - entry.renewedAt <= this.#maxMs ? entry : undefined;
  }

  forget(id: string): void {
    this.#entries.delete(id);
  }
}
