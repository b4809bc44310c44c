import { type Backoff, backoffMs, requestedWaitMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';

/** Backoff for a parent that answers with an error, and for one that is unreachable, which retries do not load. */
const ANSWERED = { firstMs: 1_000, maxMs: 60_000 };
const UNREACHABLE = { firstMs: 1_000, maxMs: 5_000 };
/** Backoff for tasks that can wait: others poll the same parent already. */
export const PATIENT_BACKOFF = { firstMs: 2_000, maxMs: 60_000 };
/** Max wait that the parent may request with Retry-After, in ms, unless the limits have another one. */
const MAX_ASKED_MS = 5 * 60_000;

type WaitLimits = Backoff & { maxAskedMs?: number };

export const isUnreachableFault = (error: unknown): error is Fault => Fault.is(error, 'parent-unreachable');

/** Wait after failure number `failures` in a row (from 1), in ms; never shorter than the parent requested. */
export function waitAfter(
  error: unknown,
  failures: number,
  limits?: WaitLimits,
  random = Math.random(),
): number {
  const { status, retryAfterMs = 0 } = (Fault.is(error) && error.detail) || {};
  const backoff = limits ?? (isUnreachableFault(error) && status === undefined ? UNREACHABLE : ANSWERED);
  const asked = Math.min(Number(retryAfterMs), limits?.maxAskedMs ?? MAX_ASKED_MS);
  return Math.max(backoffMs(failures, backoff, random), requestedWaitMs(asked, random));
}
