import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { Parent } from '../link/parent/parent.ts';
import type { ChangeCursor } from '../reconcile/observe/news.ts';
import type { Link } from '../schedule/hours.ts';
import { waitAfter } from './wait-after.ts';

const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 60_000;

export type AwaitDeps = {
  changeCursor: Pick<ChangeCursor, 'cursor'>;
  /** Undefined where there is no parent. */
  link: () => Link | undefined;
  /** The last pass could not reach the parent. */
  isAway: () => boolean;
  parent: () => Promise<Pick<Parent, 'ping'>>;
  /** Hears of each pass that has ended. Returns what ends that. */
  onPass: (heard: () => void) => () => void;
  /** The parent answers again. */
  tell: () => void;
  log: Log;
  firstWaitMs?: number;
};

/**
 * Asks for a parent that a pass could not reach until it answers, as long as the link may be used; the next pass begins
 * then, and not with the next minute. It is for parents at which no request rests whose answer would say so: registries of
 * other kinds, and a Terrace that no pass has met yet, such as one that starts at the same time as this layer.
 *
 * A parent may answer `/v2/` and fail whatever else a pass asks for: each pass that fails after such an answer doubles
 * the wait, until one does not fail so.
 */
export async function awaitParent(deps: AwaitDeps, signal: AbortSignal): Promise<void> {
  const { changeCursor, link, isAway, log, firstWaitMs = FIRST_WAIT_MS } = deps;
  const isAwaited = () => isAway() && changeCursor.cursor === undefined && link()?.live === true;
  let passed = Promise.withResolvers<void>();
  let failedPings = 0;
  let failedPasses = 0;
  const wake = () => {
    if (!isAwaited()) failedPings = failedPasses = 0;
    passed.resolve();
  };
  const unheard = deps.onPass(wake);
  signal.addEventListener('abort', wake, { once: true });
  try {
    for (let wait = firstWaitMs; !signal.aborted; ) {
      if (!isAwaited()) {
        wait = firstWaitMs;
        failedPings = failedPasses = 0;
        await passed.promise;
        passed = Promise.withResolvers();
        continue;
      }
      await sleep(wait, undefined, { signal }).catch(() => {});
      if (signal.aborted || !isAwaited()) continue;
      try {
        await (await deps.parent()).ping(signal);
      } catch (err) {
        failedPings += 1;
        wait = waitAfter(err, failedPings);
        log.debug({ err, ms: wait }, 'the parent can still not be reached');
        continue;
      }
      failedPings = 0;
      passed = Promise.withResolvers();
      deps.tell();
      await passed.promise;
      failedPasses += 1;
      wait = backoffMs(failedPasses + 1, { firstMs: firstWaitMs, maxMs: MAX_WAIT_MS });
      if (!signal.aborted && isAwaited()) {
        log.debug({ ms: wait }, 'the parent answers, and a pass could not reach it all the same');
      }
    }
  } finally {
    unheard();
    signal.removeEventListener('abort', wake);
  }
}
