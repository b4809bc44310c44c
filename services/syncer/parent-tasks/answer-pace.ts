const MIN_INTERVAL_MS = 1_000;
const MAX_INTERVAL_MS = 60_000;

/** What an answer brought: something to act on, only what was known before, or nothing at all. */
export type Brought = 'new' | 'known' | 'nothing';

/**
 * Spaces the requests of a long poll. When the parent answers is up to the parent: one that answers at once although
 * there is nothing new must not be asked as fast as it answers.
 */
export class AnswerPace {
  readonly #minMs: number;
  #emptyAnswers = 0;

  /** @param minMs between two requests of which the first brought nothing new; twice as long with each that is empty */
  constructor(minMs = MIN_INTERVAL_MS) {
    this.#minMs = minMs;
  }

  /** @returns how long to wait before the next request, in ms */
  after(tookMs: number, brought: Brought): number {
    if (brought !== 'nothing' || tookMs >= this.#minMs) this.#emptyAnswers = 0;
    if (brought === 'new' || tookMs >= this.#minMs) return 0;
    const interval = Math.min(MAX_INTERVAL_MS, this.#minMs * 2 ** this.#emptyAnswers);
    if (brought === 'nothing') this.#emptyAnswers += 1;
    return interval - tookMs;
  }
}
