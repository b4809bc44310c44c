import { atLeast, type Backoff, backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';

/** A parent that answers with an error, and one that can't be reached, which costs it nothing. */
const ANSWERED = { firstMs: 1_000, maxMs: 60_000 };
const AWAY = { firstMs: 1_000, maxMs: 5_000 };
/** For what can wait: others ask the same parent already. */
export const PATIENT = { firstMs: 2_000, maxMs: 60_000 };
/** What the parent may ask for at most with Retry-After, in ms. */
const MAX_ASKED_MS = 5 * 60_000;

export const isAway = (error: unknown): error is Fault => Fault.is(error, 'parent-unreachable');

/**
 * How long the parent is left alone after failure number `failures` in a row (from 1), in ms; never less than it asked
 * for.
 */
export function waitAfter(
  error: unknown,
  failures: number,
  limits?: Backoff,
  random = Math.random(),
): number {
  const { status, retryAfterMs = 0 } = (Fault.is(error) && error.detail) || {};
  const own = limits ?? (isAway(error) && status === undefined ? AWAY : ANSWERED);
  const asked = Math.min(Number(retryAfterMs), MAX_ASKED_MS);
  return Math.max(backoffMs(failures, own, random), atLeast(asked, random));
}
