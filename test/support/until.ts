import { setTimeout as sleep } from 'node:timers/promises';

/**
 * How long a test waits. The rules for every test:
 * - Wait for what is awaited (an event, a line, a state) with `until`, `layer.event()`, `says()` …, never for a time.
 * - A limit only turns a test that hangs into a message. It is never what is asserted: leave it out, and where there
 *   has to be one, take `patience()`, which grows with the slowness of the machine.
 * - Where a limit of the product has to be reached, inject a short one and have the other side never answer. Where it
 *   must not be reached, leave it as it is or inject `patience()`. Nothing may lie between "slow" and "stalled".
 * - That something does not happen is seen by what has to come after it, not by sleeping and looking.
 * - Assert order, shares and sums of what happened, or times of an injected clock; no counts within a time, no
 *   durations.
 * - A schedule (kills, cuts) goes by what has happened, and ends when each kind has happened often enough.
 */

/** Environment variable by which the global setup hands its calibration to every test file. */
export const SLOWNESS = 'TERRACE_TEST_SLOWNESS';

const MIN_SLOWNESS = 2;
const MAX_SLOWNESS = 20;
/** Without a calibration: a file that is run by itself. */
const UNKNOWN_SLOWNESS = 4;
const LIMIT_MS = 30_000;

/** How many times longer than on a quiet machine something may take here. */
export const slowness = bounded(Number(process.env[SLOWNESS]) || UNKNOWN_SLOWNESS);

/** The quiet machine's `ms` as a limit for this one. */
export const patience = (ms = LIMIT_MS): number => Math.ceil(ms * slowness);

/** The quiet machine's rate of bytes a second for what has to be in the middle while something else happens. */
export const slowed = (rate: number): number => Math.ceil((rate * MIN_SLOWNESS) / slowness);

/** Fires when a test has waited too long. */
export const patienceSignal = (ms?: number): AbortSignal => AbortSignal.timeout(patience(ms));

/** Waits until it holds. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string) = String(holds),
  ms = LIMIT_MS,
): Promise<void> {
  const limit = patience(ms);
  const end = performance.now() + limit;
  for (;;) {
    const asked = performance.now();
    if (await holds()) return;
    const now = performance.now();
    if (now >= end) throw new Error(`not within ${limit} ms: ${typeof what === 'string' ? what : what()}`);
    // A question that is much work is asked seldom: what is awaited needs the processor, too.
    await sleep(Math.max(10, 3 * (now - asked)));
  }
}

export function bounded(factor: number): number {
  return Math.min(MAX_SLOWNESS, Math.max(MIN_SLOWNESS, factor));
}
