import { backoffMs, requestedWaitMs } from '#proto/async/backoff.ts';
import { retryAfter, sentAt } from '../link/answers/answers.ts';

/** What follows from the answer of a receiver. Pure. */

/** `afterMs`: the wait that it requested (Retry-After). */
export type DeliveryVerdict =
  | { kind: 'accepted' }
  | { kind: 'retry'; reason: string; afterMs?: number }
  | { kind: 'removed'; reason: string };

const RETRY = { firstMs: 1_000, maxMs: 5 * 60_000 };
/** Max wait that a receiver may request, in ms. */
const MAX_ASKED_MS = 60 * 60_000;

export function verdictOf(
  status: number,
  headers: Record<string, string | string[] | undefined>,
  now = Date.now(),
): DeliveryVerdict {
  if (status >= 200 && status < 300) return { kind: 'accepted' };
  if (status === 410) return { kind: 'removed', reason: 'answered 410 (Gone)' };
  const redirects = status >= 300 && status < 400 ? ': redirects are not followed' : '';
  const afterMs = retryAfter(headers['retry-after'], sentAt(headers.date, now));
  return {
    kind: 'retry',
    reason: `answered ${status}${redirects}`,
    ...(afterMs !== undefined && { afterMs }),
  };
}

/** Wait after failure number `failures` in a row (from 1), in full ms: backoff from 1 s to 5 min, or as requested. */
export function deliveryWait(failures: number, askedMs = 0, random = Math.random()): number {
  const asked = requestedWaitMs(Math.min(askedMs, MAX_ASKED_MS), random);
  return Math.round(Math.max(backoffMs(failures, RETRY, random), asked));
}
