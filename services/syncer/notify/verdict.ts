import { retryAfter } from '../link/answers/answers.ts';

/** What a receiver's answer means. Pure. */

/** `afterMs`: what it asked for. */
export type Verdict =
  | { kind: 'taken' }
  | { kind: 'again'; reason: string; afterMs?: number }
  | { kind: 'gone'; reason: string };

const FIRST_MS = 1_000;
const MOST_MS = 5 * 60_000;
/** The longest wait that a receiver may ask for. */
const MOST_ASKED_MS = 60 * 60_000;
/** Over how long those come back that were told the same time. */
const SPREAD_MS = 5_000;

export function verdictOf(
  status: number,
  headers: Record<string, string | string[] | undefined>,
  now = Date.now(),
): Verdict {
  if (status >= 200 && status < 300) return { kind: 'taken' };
  if (status === 410) return { kind: 'gone', reason: 'answered 410: it is gone' };
  const redirects = status >= 300 && status < 400 ? ': redirects are not followed' : '';
  const afterMs = retryAfter(headers['retry-after'], now);
  return {
    kind: 'again',
    reason: `answered ${status}${redirects}`,
    ...(afterMs !== undefined && { afterMs }),
  };
}

/** How long to wait after so many failures in a row (from 1): doubling from one second to five minutes, with jitter, in whole ms. */
export function waitAfter(failures: number, askedMs = 0, random = Math.random()): number {
  const own = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 20)) * (0.5 + random / 2);
  const asked = Math.min(askedMs, MOST_ASKED_MS);
  return Math.round(Math.max(own, asked + random * Math.min(asked / 4, SPREAD_MS)));
}
