/** A line that comes again is counted, and the count is told after so long, then after twice as long, and so on, in ms. */
const FIRST_MS = 10_000;
const MAX_MS = 10 * 60_000;
/** What did not come for so long is over, in ms. */
const OVER_MS = 5 * 60_000;
/** So many different lines are told apart at a time; of more than these, each is shown. */
const MAX_KNOWN = 200;

type Repeated = { last: string; lastAt: number; more: number; gathered: boolean; timer: NodeJS.Timeout };

/**
 * Gathers lines that say the same over and over: the first one is shown, then how many there were and the last of
 * them, and in the end that there are no more.
 */
export class Repeats {
  readonly #show: (line: string) => void;
  readonly #known = new Map<string, Repeated>();

  constructor(show: (line: string) => void) {
    this.#show = show;
  }

  /** @param key the same for lines that say the same, of different things maybe */
  line(key: string, line: string): void {
    const known = this.#known.get(key);
    const lastAt = Date.now();
    if (known) {
      Object.assign(known, { last: line, lastAt, more: known.more + 1 });
      return;
    }
    this.#show(line);
    if (this.#known.size >= MAX_KNOWN) return;
    const timer = this.#later(key, FIRST_MS);
    this.#known.set(key, { last: line, lastAt, more: 0, gathered: false, timer });
  }

  /** Shows what is not shown yet. */
  end(): void {
    for (const known of this.#known.values()) {
      clearTimeout(known.timer);
      this.#count(known);
    }
    this.#known.clear();
  }

  #later(key: string, ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#look(key, ms), ms).unref();
  }

  #look(key: string, ms: number): void {
    const known = this.#known.get(key);
    if (!known) return;
    this.#count(known);
    const quietMs = Date.now() - known.lastAt;
    if (quietMs < OVER_MS) {
      known.timer = this.#later(key, Math.min(MAX_MS, ms * 2));
      return;
    }
    this.#known.delete(key);
    if (known.gathered) this.#show(`${known.last} (not again for ${Math.round(quietMs / 60_000)} min)`);
  }

  #count(known: Repeated): void {
    const { more, last } = known;
    if (more === 0) return;
    this.#show(more === 1 ? last : `${last} (${more} times more)`);
    Object.assign(known, { more: 0, gathered: known.gathered || more > 1 });
  }
}
