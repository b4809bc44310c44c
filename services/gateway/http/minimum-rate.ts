/** What a body must bring, so that a client cannot hold an upload for ever by a byte now and then. */
export type MinimumRate = {
  bytesPerSecond: number;
  /** Over which it is averaged, and which a body has to itself when it begins, in ms. */
  windowMs: number;
};

/** A link of 5 kbit/s that ten bodies share gives each twice as much. */
export const MINIMUM_RATE: MinimumRate = { bytesPerSecond: 32, windowMs: 60_000 };

/** A window says nothing where the client had to wait for the disk for more than this part of it. */
const MAX_STALLED = 0.1;

/** Measures a body, one window after another. Instants are in ms. */
export class RateMeter {
  readonly #minimum: MinimumRate;
  #from: number;
  #came = 0;
  /** How long this window has waited for the client. */
  #waited = 0;
  #waitsFrom: number | undefined;

  constructor(minimum: MinimumRate, now: number) {
    this.#minimum = minimum;
    this.#from = now;
  }

  came(bytes: number): void {
    this.#came += bytes;
  }

  /** All that came is written: from now on, the client is waited for. */
  waits(now: number): void {
    this.#waitsFrom ??= now;
  }

  /** Something came, and is being written. */
  works(now: number): void {
    if (this.#waitsFrom !== undefined) this.#waited += now - Math.max(this.#waitsFrom, this.#from);
    this.#waitsFrom = undefined;
  }

  /** Ends the window. @returns the bytes that came in it, where those are too few */
  next(now: number): number | undefined {
    const waiting = this.#waitsFrom !== undefined;
    this.works(now);
    const { bytesPerSecond } = this.#minimum;
    const ms = now - this.#from;
    const came = this.#came;
    const isSlow = came < (bytesPerSecond * ms) / 1_000 && this.#waited >= ms * (1 - MAX_STALLED);
    this.#from = now;
    this.#came = 0;
    this.#waited = 0;
    if (waiting) this.#waitsFrom = now;
    return isSlow ? came : undefined;
  }
}
