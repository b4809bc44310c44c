/** Max silence of a connection at the end of a blob, in ms. */
const MAX_SILENT_MS = 5_000;
/** The same in multiples of the time to the first byte. The longer one applies. */
const MAX_SILENT_ANSWERS = 4;
/**
 * How often requests that have no answer yet are aborted in one transfer. A parent that fetches the content first may
 * take minutes, and begin again when its client leaves: then only the link's limit for the first byte counts.
 */
const MAX_ABORTED_UNANSWERED = 2;
/** Max share of the usual throughput that all requests bring while one counts as slow: with more, they share a link. */
const MAX_USED_SHARE = 0.25;
/** A request is slow if its rest takes this long, in ms, and this multiple of the time on free connections. */
const MIN_SLOW_MS = 2_000;
const MIN_SLOW_FACTOR = 2;
/** Intervals of an answer after which its rate counts: before, its connection may still be starting. */
const MIN_INTERVALS = 3;
/** Max factor on the rate from one interval to the next of a connection that is not becoming faster. */
const MAX_RISE = 1.2;
/** Round trips that a free connection needs for its request and its start. */
const START_ROUND_TRIPS = 3;

export type RequestInFlight = Disposable & {
  /** Aborts with the transfer, or when the remaining bytes are requested on another connection. */
  signal: AbortSignal;
  /** Whether it was aborted because other connections bring its remaining bytes sooner. */
  readonly isSuperseded: boolean;
  /** The answer has this number of bytes, and the parent has all of them. Without it, only silence is late. */
  expect(bytes: number): void;
  /** Records that bytes arrived. */
  onBytes(bytes?: number): void;
};

/** The link at the end of a blob, as it was measured before; `undefined`: unknown. */
export type EndConditions = {
  /** Time from a request to its first byte. */
  firstByteMs?: number | undefined;
  roundTripMs?: number | undefined;
  /** Of all connections, in bytes/s. */
  throughput?: number | undefined;
  /** Share of the connections that nobody uses, 0 to 1. */
  freeShare: number;
};

type Request = {
  /** Bytes that are still to come; undefined before the answer. */
  left: number | undefined;
  lastByteAt: number;
  isAnswered: boolean;
  /** Bytes of the present interval. */
  recent: number;
  /** In bytes/ms, of the last interval, and of the one before. */
  rate: number;
  rateBefore: number;
  /** Complete intervals since the answer began; the one in which it began does not count. */
  intervals: number;
  abort: AbortController;
};

/**
 * The active requests of one transfer. When nothing else is left to request, the transfer would wait for a connection
 * that lost packets as long as TCP does: its remaining bytes arrive sooner over other ones.
 */
export class RequestsInFlight {
  readonly #requests = new Set<Request>();
  readonly #now: () => number;
  /** Factors on the max silence and on the min slowness. Each doubles with each use, for a link that is down. */
  #silencePatience = 1;
  #slowPatience = 1;
  #abortedUnanswered = 0;
  #measuredAt: number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#measuredAt = now();
  }

  begin(signal: AbortSignal): RequestInFlight {
    const request: Request = {
      left: undefined,
      lastByteAt: this.#now(),
      isAnswered: false,
      recent: 0,
      rate: 0,
      rateBefore: 0,
      intervals: -1,
      abort: new AbortController(),
    };
    this.#requests.add(request);
    return {
      signal: AbortSignal.any([signal, request.abort.signal]),
      get isSuperseded() {
        return request.abort.signal.aborted;
      },
      expect: (bytes) => {
        request.left = bytes;
      },
      onBytes: (bytes = 0) => {
        request.lastByteAt = this.#now();
        request.isAnswered = true;
        request.recent += bytes;
        if (request.left !== undefined) request.left -= bytes;
      },
      [Symbol.dispose]: () => this.#requests.delete(request),
    };
  }

  /** Ends an interval of which the rates are measured. Call it in intervals of at least a round trip. */
  measure(): void {
    const now = this.#now();
    const ms = now - this.#measuredAt;
    if (ms <= 0) return;
    this.#measuredAt = now;
    for (const request of this.#requests) {
      if (request.isAnswered) request.intervals += 1;
      request.rateBefore = request.rate;
      request.rate = request.recent / ms;
      request.recent = 0;
    }
  }

  /** Aborts requests whose remaining bytes arrive sooner over other connections. */
  abortLate(link: EndConditions): void {
    const silent = this.#silent(link);
    if (silent.length > 0) this.#silencePatience *= 2;
    if (silent.some(({ isAnswered }) => !isAnswered)) this.#abortedUnanswered += 1;
    const slow = this.#slow(link);
    if (slow.length > 0) this.#slowPatience *= 2;
    for (const { abort } of [...silent, ...slow]) abort.abort();
  }

  #silent({ firstByteMs = 0 }: EndConditions): Request[] {
    const maxMs = Math.max(MAX_SILENT_MS, MAX_SILENT_ANSWERS * firstByteMs) * this.#silencePatience;
    const mayAbortUnanswered = this.#abortedUnanswered < MAX_ABORTED_UNANSWERED;
    return [...this.#requests].filter(
      ({ lastByteAt, isAnswered }) => (isAnswered || mayAbortUnanswered) && this.#now() - lastByteAt >= maxMs,
    );
  }

  /** Requests that are neither starting nor becoming faster. */
  #slow({ throughput = 0, freeShare, roundTripMs = 0 }: EndConditions): Request[] {
    const used = sumOf(this.#requests, ({ rate }) => rate) * 1_000;
    if (used > throughput * MAX_USED_SHARE) return [];
    const left = sumOf(this.#requests, (one) => one.left ?? 0);
    const freeRate = (throughput / 1_000) * freeShare;
    const otherMs = START_ROUND_TRIPS * roundTripMs + left / freeRate;
    const slowMs = Math.max(MIN_SLOW_MS, MIN_SLOW_FACTOR * otherMs) * this.#slowPatience;
    return [...this.#requests].filter(({ left, intervals, rate, rateBefore, lastByteAt }) => {
      if (left === undefined || intervals < MIN_INTERVALS || rate > MAX_RISE * rateBefore) return false;
      const highest = Math.max(rate, rateBefore);
      return highest > 0 ? left > highest * slowMs : this.#now() - lastByteAt >= slowMs;
    });
  }
}

const sumOf = (requests: Iterable<Request>, value: (one: Request) => number): number =>
  [...requests].reduce((sum, one) => sum + value(one), 0);
