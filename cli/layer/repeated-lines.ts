/** Interval after which the count of a repeated line is shown, in ms: doubles from FIRST_MS to MAX_MS. */
const FIRST_MS = 10_000;
const MAX_MS = 10 * 60_000;
/** A line that was not repeated for this time has ended, in ms. */
const OVER_MS = 5 * 60_000;
/** Max different lines counted at a time; every further line is shown. */
const MAX_KNOWN = 200;

type Repeated = { last: string; lastAt: number; more: number; collapsed: boolean; timer: NodeJS.Timeout };

/**
 * Collapses repeated lines: shows the first one, then at intervals the last one with the count, and in the end that
 * it is not repeated any more.
 */
export class RepeatedLines {
  readonly #show: (line: string) => void;
  readonly #known = new Map<string, Repeated>();

  constructor(show: (line: string) => void) {
    this.#show = show;
  }

  /** @param key equal for lines with the same message, even if their details differ */
  line(key: string, line: string): void {
    const known = this.#known.get(key);
    const lastAt = performance.now();
    if (known) {
      Object.assign(known, { last: line, lastAt, more: known.more + 1 });
      return;
    }
    this.#show(line);
    if (this.#known.size >= MAX_KNOWN) return;
    const timer = this.#later(key, FIRST_MS);
    this.#known.set(key, { last: line, lastAt, more: 0, collapsed: false, timer });
  }

  /** Shows the pending lines and counts. */
  end(): void {
    for (const known of this.#known.values()) {
      clearTimeout(known.timer);
      this.#count(known);
    }
    this.#known.clear();
  }

  #later(key: string, ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#check(key, ms), ms).unref();
  }

  #check(key: string, ms: number): void {
    const known = this.#known.get(key);
    if (!known) return;
    this.#count(known);
    const quietMs = performance.now() - known.lastAt;
    if (quietMs < OVER_MS) {
      known.timer = this.#later(key, Math.min(MAX_MS, ms * 2));
      return;
    }
    this.#known.delete(key);
    if (known.collapsed) this.#show(`${known.last} (not repeated for ${Math.round(quietMs / 60_000)} min)`);
  }

  #count(known: Repeated): void {
    const { more, last } = known;
    if (more === 0) return;
    this.#show(more === 1 ? last : `${last} (${more} more times)`);
    Object.assign(known, { more: 0, collapsed: known.collapsed || more > 1 });
  }
}
