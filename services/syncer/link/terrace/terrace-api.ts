import type { Fault } from '#proto/contract/fault.ts';
import { isTransient, refusal } from '../answers/answers.ts';
import { type Answer, readErrorBody } from '../answers/bodies.ts';

/**
 * Clients of APIs that only a Terrace has, over the `ParentLink` of `../parent/`: `activation.ts` activates this layer,
 * `parent-feed.ts` follows the parent's changes, `arriving.ts` reads content that the parent is still receiving,
 * `parent-deltas.ts` asks for deltas, and `parent-reports.ts` sends the status of this layer.
 */

/**
 * Availability of an API that only a Terrace has (below `/v2/_terrace/`). A parent without it is asked again after
 * `retryMs`: it may have been updated, or may grant access by then.
 */
export class TerraceApi {
  readonly #retryMs: number;
  #retryAt: number;

  /** @param enabled false if the parent is known to be no Terrace */
  constructor(retryMs: number, enabled = true) {
    this.#retryMs = retryMs;
    this.#retryAt = enabled ? 0 : Number.POSITIVE_INFINITY;
  }

  /** Whether to send a request now. */
  get mayRequest(): boolean {
    return performance.now() >= this.#retryAt;
  }

  /** Records that the parent does not have this API: no request for `retryMs`. */
  suspend(): void {
    this.#retryAt = Math.max(this.#retryAt, performance.now() + this.#retryMs);
  }
}

/** @returns why the parent refused the request; read from the answer unless `body` was */
export const refusalIn = async (answer: Answer, what: string, body?: string): Promise<Fault> =>
  refusal(answer.statusCode, answer.headers, body ?? (await readErrorBody(answer)), what);

/** @throws the fault, if a retry of the same request may succeed */
export function throwIfTransient(fault: Fault): void {
  if (isTransient(fault)) throw fault;
}
