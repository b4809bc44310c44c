import { Fault } from '#proto/contract/fault.ts';

/** How long what is under way may take to end when this process is told to end, in ms. */
const GRACE_MS = 2_000;

/**
 * Lets a request end that would be lost if it broke: many registries forget an upload of which a piece was torn. What
 * ends by a Fault (a window that closes, a claim that is lost) ends at once.
 */
export class ShutdownGrace implements Disposable {
  readonly #signal: AbortSignal;
  readonly #late = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    if (signal.aborted) this.#abort();
    else signal.addEventListener('abort', this.#abort, { once: true });
  }

  /** Aborts as the other one, later. */
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
    else this.#timer = setTimeout(() => this.#late.abort(reason), GRACE_MS);
  };
}
