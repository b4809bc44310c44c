import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waiting in tests. The rules for every test:
 * - Wait for an event, a line or a state, with `until`, `layer.event()`, `untilOutput()` …, never for a time.
 * - A limit only turns a hanging test into a message. It is never asserted: leave it out, and where one is necessary,
 *   take `patience()`, which grows with the slowness of the machine.
 * - Where a limit of the product has to be reached, inject a short one and have the other side never answer. Where it
 *   must not be reached, leave it as it is or inject `patience()`. No limit may lie between "slow" and "stalled".
 * - That something does not happen is proved by an event that has to follow it, not by sleeping and checking.
 * - Assert the order, shares and sums of events, or times of an injected clock; no counts within a time, no durations.
 * - A schedule of faults (kills, cuts) advances with what has happened, and ends when each kind has happened often
 *   enough.
 */

/** Environment variable by which the global setup passes its calibration to every test file. */
export const SLOWNESS = 'TERRACE_TEST_SLOWNESS';

const MIN_SLOWNESS = 2;
const MAX_SLOWNESS = 20;
/** Without a calibration: for a test file that is run alone. */
const UNKNOWN_SLOWNESS = 4;
const LIMIT_MS = 30_000;

/** How many times longer than on an idle machine something may take here. */
export const slowness = bounded(Number(process.env[SLOWNESS]) || UNKNOWN_SLOWNESS);

/** A limit for this machine, in ms, from one for an idle machine. */
export const patience = (ms = LIMIT_MS): number => Math.ceil(ms * slowness);

/** A rate for an idle machine, in bytes a second, lowered for this one, so that a transfer lasts long enough. */
export const slowedRate = (rate: number): number => Math.ceil((rate * MIN_SLOWNESS) / slowness);

/** Aborts when a test has waited too long. */
export const patienceSignal = (ms?: number): AbortSignal => AbortSignal.timeout(patience(ms));

/** Resolves when `holds` returns true. @throws after `patience(ms)` */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string) = String(holds),
  ms = LIMIT_MS,
): Promise<void> {
  const limit = patience(ms);
  const end = performance.now() + limit;
  for (;;) {
    const checkedAt = performance.now();
    if (await holds()) return;
    const now = performance.now();
    if (now >= end) throw new Error(`not within ${limit} ms: ${typeof what === 'string' ? what : what()}`);
    // An expensive check runs less often: the awaited work needs the processor, too.
    await sleep(Math.max(10, 3 * (now - checkedAt)));
  }
}

export function bounded(factor: number): number {
  return Math.min(MAX_SLOWNESS, Math.max(MIN_SLOWNESS, factor));
}
