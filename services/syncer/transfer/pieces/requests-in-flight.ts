/** Max silence of a connection at the end of a blob, in ms. */
const MAX_SILENT_MS = 5_000;
/** The same in multiples of the time to the first byte. The longer one applies. */
const MAX_SILENT_ANSWERS = 4;
/**
 * How often requests that have no answer yet are aborted in one transfer. A parent that fetches the content first may
 * take minutes, and begin again when its client leaves: then only the link's limit for the first byte counts.
 */
const MAX_ABORTED_UNANSWERED = 2;

export type RequestInFlight = Disposable & {
  /** Aborts with the transfer, or when the remaining bytes are requested on another connection. */
  signal: AbortSignal;
  /** Whether it was aborted for being silent. */
  readonly isSuperseded: boolean;
  /** Records that bytes arrived. */
  onBytes(): void;
};

/**
 * The active requests of one transfer. When nothing else is left to request, the transfer would wait for a connection
 * that lost packets as long as TCP does: its remaining bytes arrive sooner over another one.
 */
export class RequestsInFlight {
  readonly #requests = new Set<{ lastByteAt: number; isAnswered: boolean; abort: AbortController }>();
  readonly #now: () => number;
  /** Factor on the max silence. Doubles each time that it is exceeded, for a link that is down. */
  #patience = 1;
  #abortedUnanswered = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  begin(signal: AbortSignal): RequestInFlight {
    const request = { lastByteAt: this.#now(), isAnswered: false, abort: new AbortController() };
    this.#requests.add(request);
    return {
      signal: AbortSignal.any([signal, request.abort.signal]),
      get isSuperseded() {
        return request.abort.signal.aborted;
      },
      onBytes: () => {
        request.lastByteAt = this.#now();
        request.isAnswered = true;
      },
      [Symbol.dispose]: () => this.#requests.delete(request),
    };
  }

  /** Aborts the requests that are silent for too long. */
  abortStalled(firstByteMs = 0): void {
    const maxMs = Math.max(MAX_SILENT_MS, MAX_SILENT_ANSWERS * firstByteMs) * this.#patience;
    const mayAbortUnanswered = this.#abortedUnanswered < MAX_ABORTED_UNANSWERED;
    const silent = [...this.#requests].filter(
      ({ lastByteAt, isAnswered }) => (isAnswered || mayAbortUnanswered) && this.#now() - lastByteAt >= maxMs,
    );
    if (silent.length > 0) this.#patience *= 2;
    if (silent.some(({ isAnswered }) => !isAnswered)) this.#abortedUnanswered += 1;
    for (const { abort } of silent) abort.abort();
  }
}
