/** Max wait, in ms: the clock may be set meanwhile, and Node's timers overflow after 24 days. */
const MAX_MS = 60_000;

/** Calls a check at once, then at the time that it returns, and at least once a minute. */
export class Alarm implements Disposable {
  readonly #check: (now: number) => number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  /** @param check returns the time of the next call, in ms since 1970; undefined: within a minute */
  constructor(check: (now: number) => number | undefined) {
    this.#check = check;
    this.check();
  }

  check(): void {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    const next = this.#check(Date.now()) ?? Number.POSITIVE_INFINITY;
    const ms = Math.max(1, Math.min(next - Date.now(), MAX_MS));
    // The callback may have disposed of this.
    if (!this.#ended) this.#timer = setTimeout(() => this.check(), ms);
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
