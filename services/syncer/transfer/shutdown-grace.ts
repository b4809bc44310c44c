import { Fault } from '#proto/contract/fault.ts';

/**
 * Delays an abort at shutdown, so that an active request can finish: many registries drop an upload if one of its
 * pieces breaks off. An abort by a Fault (a window that closes, a claim that is lost) is not delayed.
 */
export class ShutdownGrace implements Disposable {
  readonly #signal: AbortSignal;
  readonly #graceMs: number;
  readonly #late = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  /** @param graceMs how long active requests may take to finish */
  constructor(signal: AbortSignal, graceMs: number) {
    this.#signal = signal;
    this.#graceMs = graceMs;
    if (signal.aborted) this.#abort();
    else signal.addEventListener('abort', this.#abort, { once: true });
  }

  /** Aborts with the reason of the given signal, later. */
  get signal(): AbortSignal {
    return this.#late.signal;
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#abort);
    clearTimeout(this.#timer);
  }

  readonly #abort = (): void => {
    const { reason } = this.#signal;
    if (reason instanceof Fault) this.#late.abort(reason);
    else this.#timer = setTimeout(() => this.#late.abort(reason), this.#graceMs);
  };
}
