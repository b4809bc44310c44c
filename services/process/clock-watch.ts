/** Interval between checks, in ms. */
const POLL_MS = 10_000;
/** Min difference between the two clocks that counts, in ms: clocks are corrected by less all the time. */
const MIN_JUMP_MS = 60_000;

/** Detects that the wall clock was set, or that the machine slept: it no longer advances with the monotonic clock. */
export class ClockWatch implements Disposable {
  readonly #onJump: (ms: number) => void;
  readonly #timer: NodeJS.Timeout;
  #offset = offset();

  /** @param onJump by how much the wall clock is ahead of where it would be, in ms */
  constructor(onJump: (ms: number) => void, pollMs = POLL_MS) {
    this.#onJump = onJump;
    this.#timer = setInterval(() => this.#check(), pollMs).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const now = offset();
    const jump = Math.round(now - this.#offset);
    if (Math.abs(jump) < MIN_JUMP_MS) return;
    this.#offset = now;
    this.#onJump(jump);
  }
}

const offset = (): number => Date.now() - performance.now();
