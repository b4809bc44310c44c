import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, jittered } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { ParentProbe } from '../link/parent/parent-reader.ts';
import type { CursorReader } from '../reconcile/observe/change-cursor.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import { waitAfter } from './wait-after.ts';

const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 60_000;

export type AwaitDeps = {
  changeCursor: CursorReader;
  /** Undefined if no parent is configured. */
  link: () => LinkUse | undefined;
  /** The last pass could not reach the parent. */
  isUnreachable: () => boolean;
  parent: () => Promise<ParentProbe>;
  /** Calls back at the end of each pass. Returns a function that ends the subscription. */
  onPass: (listener: () => void) => () => void;
  /** Called when the parent answers again. */
  requestPass: () => void;
  log: Log;
  firstWaitMs?: number;
};

/**
 * Pings a parent that the last pass could not reach until it answers, while the link is live, so that the next pass
 * begins then and not at the next minute. For parents without an active long poll, which would detect this itself:
 * other registries, and a Terrace that no pass has reached yet, such as one that starts at the same time as this layer.
 *
 * A parent may answer `/v2/` and fail every other request of a pass: each pass that still can't reach it after a
 * successful ping doubles the wait, until one does.
 */
export async function awaitParent(deps: AwaitDeps, signal: AbortSignal): Promise<void> {
  const { changeCursor, link, isUnreachable, log, firstWaitMs = FIRST_WAIT_MS } = deps;
  const isAwaited = () => isUnreachable() && changeCursor.cursor === undefined && link()?.live === true;
  let passed = Promise.withResolvers<void>();
  let failedPings = 0;
  let failedPasses = 0;
  const wake = () => {
    if (!isAwaited()) failedPings = failedPasses = 0;
    passed.resolve();
  };
  const unsubscribe = deps.onPass(wake);
  signal.addEventListener('abort', wake, { once: true });
  try {
    for (let waitMs = jittered(firstWaitMs); !signal.aborted; ) {
      if (!isAwaited()) {
        waitMs = jittered(firstWaitMs);
        failedPings = failedPasses = 0;
        await passed.promise;
        passed = Promise.withResolvers();
        continue;
      }
      await sleep(waitMs, undefined, { signal }).catch(() => {});
      if (signal.aborted || !isAwaited()) continue;
      try {
        await (await deps.parent()).ping(signal);
      } catch (err) {
        failedPings += 1;
        waitMs = waitAfter(err, failedPings);
        log.debug({ err, ms: waitMs }, 'the parent is still unreachable');
        continue;
      }
      failedPings = 0;
      passed = Promise.withResolvers();
      deps.requestPass();
      await passed.promise;
      failedPasses += 1;
      waitMs = backoffMs(failedPasses + 1, { firstMs: firstWaitMs, maxMs: MAX_WAIT_MS });
      if (!signal.aborted && isAwaited()) {
        log.debug({ ms: waitMs }, 'the parent answers, but the pass could not reach it');
      }
    }
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', wake);
  }
}
