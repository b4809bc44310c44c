const LEAST_PIECE = 64 * 1024;
const MOST_PIECE = 4 * 1024 * 1024;
/** What is sent in one request takes about so long: what a cut may waste, against the time that answers take. */
const PIECE_MS = 8_000;
/** How much the newest counts in an average. */
const WEIGHT = 0.5;
/** Room for what a rate does not tell: the link may have become slower, and an answer takes its time. */
const SLOWER = 1.25;
const ANSWER_MS = 500;
/** What the first piece may take, of which nothing is known yet. */
const FIRST_MS = 3_000;
const FIRST_RATE = LEAST_PIECE / (FIRST_MS / 1_000);
/** The least that a rate of which nothing is known may be, in bytes a second: one of many on a slow link. */
const UNKNOWN_RATE = 8 * 1024;
/** An estimate of this age no longer keeps a piece out of a window, in ms: the link may be another by then. */
const STALE_MS = 30_000;

/** How fast one connection of this process sends, answers included, and what to send at once because of that. */
export class Pace {
  /** Bytes a second. */
  #rate: number | undefined;
  /** When it was last corrected, on the clock of `#now`. */
  #correctedAt = 0;
  readonly #now: () => number;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** So many bytes were sent and answered in so many ms. */
  sent(bytes: number, ms: number): void {
    const rate = (bytes * 1_000) / Math.max(1, ms);
    // A small piece says more of the answer than of the link: the rate is at least this.
    if (bytes < LEAST_PIECE && rate < (this.#rate ?? FIRST_RATE)) return;
    this.#rate = this.#rate === undefined ? rate : this.#rate * (1 - WEIGHT) + rate * WEIGHT;
    this.#correctedAt = this.#now();
  }

  /** A request broke: the next one risks less, down to what is risked where nothing is known. */
  broke(): void {
    if (this.#rate === undefined) return;
    this.#rate = Math.max(this.#rate / 2, Math.min(this.#rate, UNKNOWN_RATE));
    this.#correctedAt = this.#now();
  }

  /** How long so many bytes take, in ms; at worst, where nothing is known. */
  ms(bytes: number): number {
    return (bytes * 1_000) / (this.#rate ?? UNKNOWN_RATE);
  }

  /**
   * What to send next of so many bytes, where it has to end before `until`; undefined where that is nothing.
   * No less than all of it or `LEAST_PIECE`. Where an old estimate says nothing, the next piece is a new first one: what is
   * never sent corrects no estimate.
   */
  piece(bytes: number, until: number | undefined, now = Date.now()): number | undefined {
    const known = pieceBy(this.#rate, bytes, until, now);
    const isStale = this.#now() - this.#correctedAt >= STALE_MS;
    return known ?? (isStale ? pieceBy(undefined, bytes, until, now) : undefined);
  }
}

function pieceBy(
  known: number | undefined,
  bytes: number,
  until: number | undefined,
  now: number,
): number | undefined {
  const rate = known ?? FIRST_RATE;
  const least = Math.min(LEAST_PIECE, bytes);
  const most = known === undefined ? LEAST_PIECE : MOST_PIECE;
  const usual = Math.min(bytes, most, Math.max(LEAST_PIECE, Math.floor((rate * PIECE_MS) / 1_000)));
  if (until === undefined) return usual;
  const ms = until - now - ANSWER_MS;
  const fitting = Math.floor((rate * ms) / 1_000 / SLOWER);
  return ms > 0 && fitting >= least ? Math.min(usual, fitting) : undefined;
}
