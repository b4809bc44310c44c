import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { Pair } from './tls.ts';

/** A certificate with its key; from when until when it is valid, in ms since 1970. */
export type Issued = { pair: Pair; from: number; until: number };

const MINUTE_MS = 60_000;
const MAX_MS = 30 * MINUTE_MS;
/** A clock that is put right by less says nothing of the certificate. */
const SLACK_MS = 10 * MINUTE_MS;

/**
 * Is it time for another certificate? From two thirds of its time on; and where the clock shows a time long before it
 * began, since then the clock was wrong when it was made.
 */
export function isDue({ from, until }: Issued, now: number): boolean {
  return now >= from + ((until - from) * 2) / 3 || now < from - SLACK_MS;
}

/** When another certificate is asked for where there is one, and where nobody is listened to without it. */
export const RENEWAL = { firstMs: MINUTE_MS, maxMs: MAX_MS };
const FIRST = { firstMs: 1_000, maxMs: 10_000 };

type Name = { held?: Issued; failures: number; next: number };

/** One certificate for each name, made anew in time. What can't be had anew stays as it is. */
export class CertificatesDue {
  readonly #names: Map<string, Name>;
  readonly #issue: (name: string) => Promise<Issued>;
  readonly #log: Log;
  readonly #now: () => number;

  constructor(names: string[], issue: (name: string) => Promise<Issued>, log: Log, now = Date.now) {
    this.#names = new Map(names.map((name) => [name, { failures: 0, next: 0 }]));
    this.#issue = issue;
    this.#log = log;
    this.#now = now;
  }

  held(name: string): Issued | undefined {
    return this.#names.get(name)?.held;
  }

  /** Every name has one. */
  get complete(): boolean {
    return [...this.#names.values()].every(({ held }) => held);
  }

  /** Gets what is due. @returns the names with another certificate than before */
  async look(): Promise<string[]> {
    const changed: string[] = [];
    for (const [name, state] of this.#names) {
      const now = this.#now();
      if (state.held && !isDue(state.held, now)) continue;
      // The clock may have been put back since.
      if (state.failures > 0 && now < state.next && state.next - now <= MAX_MS) continue;
      try {
        state.held = await this.#issue(name);
        state.failures = 0;
        changed.push(name);
        const ends = new Date(state.held.until).toISOString();
        this.#log.info({ name, ends }, `a certificate for ${name} is in use; it ends on ${ends}`);
      } catch (error) {
        state.failures += 1;
        state.next = now + backoffMs(state.failures, state.held ? RENEWAL : FIRST);
        const { message } = error as Error;
        const ends = state.held && new Date(state.held.until).toISOString();
        const rest = ends ? `the one that ends on ${ends} stays` : 'nobody is listened to before';
        this.#log.warn(
          { name, failures: state.failures },
          `no new certificate for ${name}, ${rest}: ${message}`,
        );
      }
    }
    return changed;
  }
}
