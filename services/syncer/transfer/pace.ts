const MIN_PIECE = 64 * 1024;
const MAX_PIECE = 4 * 1024 * 1024;
/** What is sent in one request takes about so long: what a cut may waste, against the time that answers take. */
const PIECE_MS = 8_000;
/** How much the newest counts in an average. */
const WEIGHT = 0.5;
/** Room for what a rate does not tell: the link may have become slower, and an answer takes its time. */
const SLOWER = 1.25;
const ANSWER_MS = 500;
/** What the first piece may take, of which nothing is known yet. */
const FIRST_MS = 3_000;
/** The least that a rate of which nothing is known may be, in bytes a second: one of many on a slow link. */
const UNKNOWN_RATE = 8 * 1024;

/** How fast one connection of this process sends, answers included, and what to send at once because of that. */
export class Pace {
  /** Bytes a second. */
  #rate: number | undefined;

  /** So many bytes were sent and answered in so many ms. */
  sent(bytes: number, ms: number): void {
    const rate = (bytes * 1_000) / Math.max(1, ms);
    // A small piece says more of the answer than of the link.
    if (this.#rate !== undefined && bytes < MIN_PIECE && rate < this.#rate) return;
    this.#rate = this.#rate === undefined ? rate : this.#rate * (1 - WEIGHT) + rate * WEIGHT;
  }

  /** A request broke: the next one risks less. */
  broke(): void {
    if (this.#rate !== undefined) this.#rate /= 2;
  }

  /** How long so many bytes take, in ms; at worst, where nothing is known. */
  ms(bytes: number): number {
    return (bytes * 1_000) / (this.#rate ?? UNKNOWN_RATE);
  }

  /**
   * What to send next of so many bytes, where it has to end before `until`; undefined where that is nothing.
   * No less than all of it or `MIN_PIECE`.
   */
  piece(bytes: number, until: number | undefined, now = Date.now()): number | undefined {
    const rate = this.#rate ?? MIN_PIECE / (FIRST_MS / 1_000);
    const least = Math.min(MIN_PIECE, bytes);
    const most = this.#rate === undefined ? MIN_PIECE : MAX_PIECE;
    const usual = Math.min(bytes, most, Math.max(MIN_PIECE, Math.floor((rate * PIECE_MS) / 1_000)));
    if (until === undefined) return usual;
    const ms = until - now - ANSWER_MS;
    const fitting = Math.floor((rate * ms) / 1_000 / SLOWER);
    return ms > 0 && fitting >= least ? Math.min(usual, fitting) : undefined;
  }
}
