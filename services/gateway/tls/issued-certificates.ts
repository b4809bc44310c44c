import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';

/** A certificate with its key, and its validity, in ms since 1970. */
export type IssuedCertificate = { pair: CertificateAndKey; from: number; until: number };

const MINUTE_MS = 60_000;
const MAX_BACKOFF_MS = 30 * MINUTE_MS;
/** A clock correction of less than this says nothing about the certificate, in ms. */
const SLACK_MS = 10 * MINUTE_MS;

/**
 * Whether to request another certificate: after two thirds of its lifetime, or if the clock is well before its
 * beginning, as the clock was then wrong when it was issued.
 */
export function isDue({ from, until }: IssuedCertificate, now: number): boolean {
  return now >= from + ((until - from) * 2) / 3 || now < from - SLACK_MS;
}

/** Backoff while a certificate is in use, and while the gateway does not listen because it has none. */
export const RENEWAL = { firstMs: MINUTE_MS, maxMs: MAX_BACKOFF_MS };
const FIRST = { firstMs: 1_000, maxMs: 10_000 };

type NameState = { held?: IssuedCertificate; failures: number; next: number };

/**
 * Certificates that the workload API issues: one per name, renewed in time. If a renewal fails, the certificate stays.
 */
export class IssuedCertificates {
  readonly #names: Map<string, NameState>;
  readonly #issue: (name: string) => Promise<IssuedCertificate>;
  readonly #log: Log;
  readonly #now: () => number;

  constructor(
    names: string[],
    issue: (name: string) => Promise<IssuedCertificate>,
    log: Log,
    now = Date.now,
  ) {
    this.#names = new Map(names.map((name) => [name, { failures: 0, next: 0 }]));
    this.#issue = issue;
    this.#log = log;
    this.#now = now;
  }

  held(name: string): IssuedCertificate | undefined {
    return this.#names.get(name)?.held;
  }

  /** Whether every name has a certificate. */
  get complete(): boolean {
    return [...this.#names.values()].every(({ held }) => held);
  }

  /** Requests the certificates that are due. @returns the names whose certificate changed */
  async renewDue(): Promise<string[]> {
    const changed: string[] = [];
    for (const [name, state] of this.#names) {
      const now = this.#now();
      if (state.held && !isDue(state.held, now)) continue;
      // The clock may have been set back since: no wait exceeds `MAX_BACKOFF_MS`.
      if (state.failures > 0 && now < state.next && state.next - now <= MAX_BACKOFF_MS) continue;
      try {
        state.held = await this.#issue(name);
        state.failures = 0;
        changed.push(name);
        const ends = new Date(state.held.until).toISOString();
        this.#log.info({ name, ends }, `installed a certificate for ${name}; it expires on ${ends}`);
      } catch (error) {
        state.failures += 1;
        state.next = now + backoffMs(state.failures, state.held ? RENEWAL : FIRST);
        const { message } = error as Error;
        const ends = state.held && new Date(state.held.until).toISOString();
        const consequence = ends
          ? `keeping the one that expires on ${ends}`
          : 'not listening until it has one';
        this.#log.warn(
          { name, failures: state.failures },
          `cannot renew the certificate for ${name}; ${consequence}: ${message}`,
        );
      }
    }
    return changed;
  }
}
