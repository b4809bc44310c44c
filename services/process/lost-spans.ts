import type { Log } from '#proto/contract/log.ts';

/** Interval in which lost spans are counted for one log line, in ms. */
const GATHER_MS = 60_000;

/** Counts the spans that are lost, as the collector is away or slow: the first is logged, then one line a minute. */
export class LostSpans {
  readonly #log: Log;
  readonly #gatherMs: number;
  #count = 0;
  #reason = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log, gatherMs = GATHER_MS) {
    this.#log = log;
    this.#gatherMs = gatherMs;
  }

  add(count: number, reason: string): void {
    if (count === 0) return;
    this.#count += count;
    this.#reason = reason;
    if (!this.#timer) this.#report();
  }

  /** Logs what is counted. */
  end(): void {
    clearTimeout(this.#timer);
    if (this.#count > 0) this.#report();
    clearTimeout(this.#timer);
  }

  #report(): void {
    const spans = this.#count;
    this.#count = 0;
    this.#log.warn({ spans, reason: this.#reason }, 'spans of traces are lost: check the collector');
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#count > 0) this.#report();
    }, this.#gatherMs).unref();
  }
}
