/** Bounds of the bytes that are sent in one request. */
const MIN_PIECE = 64 * 1024;
const MAX_PIECE = 4 * 1024 * 1024;
/** Target time of one request, in ms: bytes that a cut may waste, weighed against the wait for answers. */
const PIECE_MS = 8_000;
/** Weight of the newest value in a moving average. */
const WEIGHT = 0.5;
/** Safety margins before a window closes: the link may be slower now, and an answer takes time. */
const SLOWDOWN = 1.25;
const ANSWER_MS = 500;
/** Time assumed for `MIN_PIECE` before the first sample, in ms. */
const FIRST_MS = 3_000;
const FIRST_RATE = MIN_PIECE / (FIRST_MS / 1_000);
/** Rate assumed before the first sample, in bytes/s: one of many connections on a slow link. */
const UNKNOWN_RATE = 8 * 1024;
/** Age of an estimate from which on it prevents no piece in a window, in ms: the link may have changed. */
const STALE_MS = 30_000;
/**
 * A parent may take nothing but large requests. If no sample says that one fits into the window, one is sent as a probe
 * at most each `PROBE_MS`, if the window stays open for `MIN_PROBE_MS`. An upload asks twice, within `PROBE_VALID_MS`.
 */
const PROBE_MS = 60 * 60_000;
const MIN_PROBE_MS = 60_000;
const PROBE_VALID_MS = 10_000;

/** What the parent takes: min bytes of a piece other than the last one, and max bytes of a piece. */
export type PieceBounds = { min: number; max: number };

const UNBOUNDED: PieceBounds = { min: 0, max: Number.POSITIVE_INFINITY };

/** Send rate of one connection of this process, answers included, and the size of the next piece by that rate. */
export class SendRate {
  /** In bytes/s. */
  #rate: number | undefined;
  /** Time of the last correction, on the clock of `#now`. */
  #correctedAt = 0;
  /** Time of the last sample of at least `MIN_PIECE`, and of the last probe. */
  #measuredAt: number | undefined;
  #probedAt: number | undefined;
  readonly #now: () => number;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** Records that `bytes` were sent and answered in `ms`. */
  sent(bytes: number, ms: number): void {
    const rate = (bytes * 1_000) / Math.max(1, ms);
    // A small piece measures the answer rather than the link: its rate is a lower bound.
    if (bytes < MIN_PIECE && rate < (this.#rate ?? FIRST_RATE)) return;
    if (bytes >= MIN_PIECE) this.#measuredAt = this.#now();
    this.#rate = this.#rate === undefined ? rate : this.#rate * (1 - WEIGHT) + rate * WEIGHT;
    this.#correctedAt = this.#now();
  }

  /** Records that a request broke: the next one is smaller, down to the size of one on an unknown link. */
  failed(): void {
    if (this.#rate === undefined) return;
    this.#rate = Math.max(this.#rate / 2, Math.min(this.#rate, UNKNOWN_RATE));
    this.#correctedAt = this.#now();
  }

  /** Time that `bytes` take, in ms; a worst case before the first sample. */
  ms(bytes: number): number {
    return (bytes * 1_000) / (this.#rate ?? UNKNOWN_RATE);
  }

  /**
   * Size of the next piece of `bytes`: at least `MIN_PIECE`, or all of them. A stale estimate by which no piece fits is
   * replaced by the assumption for an unknown link: only a new piece can correct it.
   * @param until when the request has to end, in ms since 1970
   * @param bounds what the parent takes, which has precedence
   * @returns undefined if no piece can be sent before `until`
   */
  piece(
    bytes: number,
    until: number | undefined,
    now = Date.now(),
    bounds: PieceBounds = UNBOUNDED,
  ): number | undefined {
    const size = pieceSizeAt(this.#rate, bytes, until, now, bounds);
    const isStale = this.#now() - this.#correctedAt >= STALE_MS;
    const assumed = size ?? (isStale ? pieceSizeAt(undefined, bytes, until, now, bounds) : undefined);
    if (assumed !== undefined || bounds.min <= MIN_PIECE) return assumed;
    return this.#mayProbe((until ?? now) - now) ? Math.min(bounds.min, bytes) : undefined;
  }

  #mayProbe(remainingMs: number): boolean {
    const now = this.#now();
    const since = (at: number | undefined) => (at === undefined ? Number.POSITIVE_INFINITY : now - at);
    if (since(this.#probedAt) <= PROBE_VALID_MS) return true;
    const isDue = since(this.#probedAt) >= PROBE_MS && since(this.#measuredAt) >= PROBE_MS;
    if (remainingMs < MIN_PROBE_MS || !isDue) return false;
    this.#probedAt = now;
    return true;
  }
}

/** @param measured in bytes/s; undefined before the first sample */
function pieceSizeAt(
  measured: number | undefined,
  bytes: number,
  until: number | undefined,
  now: number,
  bounds: PieceBounds,
): number | undefined {
  const rate = measured ?? FIRST_RATE;
  const lowest = Math.max(MIN_PIECE, bounds.min);
  const min = Math.min(lowest, bytes);
  const max = Math.max(lowest, Math.min(measured === undefined ? MIN_PIECE : MAX_PIECE, bounds.max));
  const usual = Math.min(bytes, max, Math.max(lowest, Math.floor((rate * PIECE_MS) / 1_000)));
  if (until === undefined) return usual;
  const ms = until - now - ANSWER_MS;
  const fitting = Math.floor((rate * ms) / 1_000 / SLOWDOWN);
  return ms > 0 && fitting >= min ? Math.min(usual, fitting) : undefined;
}
