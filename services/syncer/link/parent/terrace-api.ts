import type { Fault } from '#proto/contract/fault.ts';
import { passing, refusal } from '../answers/answers.ts';
import { type Answer, text } from '../answers/bodies.ts';

/**
 * A part of the API that only a Terrace has (`/v2/_terrace/…`). A parent that does not speak it is asked again after a
 * while: it may have been updated, or may let this layer in by then.
 */
export class TerraceApi {
  readonly #retryMs: number;
  #silentUntil: number;

  /** @param spoken false where the parent is known to be no Terrace */
  constructor(retryMs: number, spoken = true) {
    this.#retryMs = retryMs;
    this.#silentUntil = spoken ? 0 : Number.POSITIVE_INFINITY;
  }

  /** Whether it is worth asking now. */
  get isSpoken(): boolean {
    return Date.now() >= this.#silentUntil;
  }

  /** The parent answered as one that does not speak it. */
  rest(): void {
    this.#silentUntil = Math.max(this.#silentUntil, Date.now() + this.#retryMs);
  }

  /** @returns why the parent refused @throws Fault where the same request may well succeed a little later */
  static async refused(answer: Answer, what: string, said?: string): Promise<Fault> {
    const fault = refusal(answer.statusCode, answer.headers, said ?? (await text(answer)), what);
    if (passing(fault)) throw fault;
    return fault;
  }
}
