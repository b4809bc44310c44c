const MIN_INTERVAL_MS = 1_000;
const MAX_INTERVAL_MS = 60_000;

/** Content of an answer: entries to act on, only known entries, or none. */
export type Brought = 'new' | 'known' | 'nothing';

/** Says how long to wait between two long polls. */
export interface PollPace {
  after(tookMs: number, brought: Brought): number;
}

/**
 * Throttles a long poll. The parent decides when it answers: one that answers at once although nothing is new must not
 * be polled at that rate.
 */
export class AnswerPace implements PollPace {
  readonly #minMs: number;
  #emptyAnswers = 0;

  /** @param minMs min interval after an answer without news, in ms; doubled by each empty answer, up to a minute */
  constructor(minMs = MIN_INTERVAL_MS) {
    this.#minMs = minMs;
  }

  /**
   * @param tookMs duration of the last request
   * @returns wait before the next request, in ms
   */
  after(tookMs: number, brought: Brought): number {
    if (brought !== 'nothing' || tookMs >= this.#minMs) this.#emptyAnswers = 0;
    if (brought === 'new' || tookMs >= this.#minMs) return 0;
    const interval = Math.min(MAX_INTERVAL_MS, this.#minMs * 2 ** this.#emptyAnswers);
    if (brought === 'nothing') this.#emptyAnswers += 1;
    return interval - tookMs;
  }
}
