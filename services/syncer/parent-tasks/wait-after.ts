import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';

const MOST_WAIT_MS = 60_000;
/** Retries of a parent that can't be reached, which costs it nothing: after so long at most, in ms. */
const MAX_AWAY_MS = 5_000;
/** What the parent may ask for at most with Retry-After, in ms. */
const MAX_ASKED_MS = 5 * 60_000;

export const isAway = (error: unknown): error is Fault => Fault.is(error, 'parent-unreachable');

/** A parent that answers with an error is left alone for longer than one that can't be reached. */
export function waitAfter(error: unknown, failures: number): number {
  const { status, retryAfterMs = 0 } = (Fault.is(error) && error.detail) || {};
  const most = isAway(error) && status === undefined ? MAX_AWAY_MS : MOST_WAIT_MS;
  return Math.max(
    backoffMs(failures + 1, { firstMs: 500, maxMs: most }),
    Math.min(Number(retryAfterMs), MAX_ASKED_MS),
  );
}
