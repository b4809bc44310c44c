/** The clock may be set while somebody waits, and Node's timers take no waits of months: nobody waits for longer. */
const MAX_MS = 60_000;

/** Looks at the clock: now, then whenever it is time to, and at least once a minute. */
export class Alarm implements Disposable {
  readonly #look: (now: number) => number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  /** @param look returns when it is time to look again, in ms since 1970 */
  constructor(look: (now: number) => number | undefined) {
    this.#look = look;
    this.look();
  }

  look(): void {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    const next = this.#look(Date.now()) ?? Number.POSITIVE_INFINITY;
    const ms = Math.max(1, Math.min(next - Date.now(), MAX_MS));
    // What was looked at may have ended this.
    if (!this.#ended) this.#timer = setTimeout(() => this.look(), ms);
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
