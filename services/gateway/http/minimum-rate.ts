/** Min rate of a body, so that a client cannot hold an upload forever with an occasional byte. */
export type MinimumRate = {
  bytesPerSecond: number;
  /** Window over which the rate is averaged, in ms; also the time that a body has before its first check. */
  windowMs: number;
};

/** A link of 5 kbit/s that ten bodies share gives each about twice this rate. */
export const MINIMUM_RATE: MinimumRate = { bytesPerSecond: 32, windowMs: 60_000 };

/** Max part of a window that the client may wait for the disk; above it, the window is not judged. */
const MAX_STALLED = 0.1;

/** Measures the rate of a body, window by window. Instants are in ms. */
export class RateMeter {
  readonly #minimum: MinimumRate;
  #from: number;
  #received = 0;
  /** Time in this window spent waiting for the client, in ms. */
  #waited = 0;
  #waitingSince: number | undefined;

  constructor(minimum: MinimumRate, now: number) {
    this.#minimum = minimum;
    this.#from = now;
  }

  addReceived(bytes: number): void {
    this.#received += bytes;
  }

  /** All received bytes are written: the receiver waits for the client until `startWriting`. */
  startWaiting(now: number): void {
    this.#waitingSince ??= now;
  }

  /** Bytes have arrived and are being written: the client waits for the disk until `startWaiting`. */
  startWriting(now: number): void {
    if (this.#waitingSince !== undefined) this.#waited += now - Math.max(this.#waitingSince, this.#from);
    this.#waitingSince = undefined;
  }

  /** Ends the window. @returns the bytes received in it if the rate was too low */
  endWindow(now: number): number | undefined {
    const waiting = this.#waitingSince !== undefined;
    this.startWriting(now);
    const { bytesPerSecond } = this.#minimum;
    const ms = now - this.#from;
    const received = this.#received;
    const isSlow = received < (bytesPerSecond * ms) / 1_000 && this.#waited >= ms * (1 - MAX_STALLED);
    this.#from = now;
    this.#received = 0;
    this.#waited = 0;
    if (waiting) this.#waitingSince = now;
    return isSlow ? received : undefined;
  }
}
