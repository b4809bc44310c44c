import { setTimeout as sleep } from 'node:timers/promises';
import type { LayerIdentity } from '#proto/accounts/children.ts';
import { jittered } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import { MAX_WAIT_S } from '#proto/sync/changes.ts';
import type { ChangeSource } from '../link/terrace/parent-feed.ts';
import type { ChangeCursor } from '../reconcile/observe/change-cursor.ts';
import { LinkGate } from '../schedule/link-gate.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import { AnswerPace, type PollPace } from './answer-pace.ts';
import type { ArrivalFollower } from './prefetcher.ts';
import { isUnreachableFault, waitAfter } from './wait-after.ts';

/** Poll interval while the link is not live or no pass has read a cursor, in ms. */
const POLL_MS = 5_000;
const MAX_WAIT_MS = 60_000;
/** One broken connection may be a proxy's time-out; a second failure in a row means that the link is down. */
const FAILURES_UNTIL_UNREACHABLE = 2;

export type FollowDeps = {
  changeCursor: ChangeCursor;
  feed: () => Promise<ChangeSource>;
  /** This layer. */
  identity: () => Promise<LayerIdentity>;
  /** Undefined if no parent is configured. */
  link: () => LinkUse | undefined;
  /** Notified when content is in transfer to the parent. */
  prefetcher: ArrivalFollower;
  /** Called when the parent reports changes, or answers again. */
  requestPass: () => void;
  /** Called when the parent reported no changes: a pass that begins now need not ask again. */
  unchanged: () => void;
  /** Called when the parent does not answer. */
  reportUnreachable: (reason: string) => void;
  log: Log;
  pace?: PollPace;
};

/**
 * Follows the parent's change feed until `signal` aborts, while the link is live. The parent answers the long poll when
 * something has changed there, or at the end of its wait. The pass reads the changes themselves. After a failure, the
 * next request does not wait.
 */
export async function follow(deps: FollowDeps, signal: AbortSignal): Promise<void> {
  const { changeCursor, log, pace = new AnswerPace() } = deps;
  let failures = 0;
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  while (!signal.aborted) {
    const cursor = changeCursor.cursor;
    if (cursor === undefined || !deps.link()?.live) {
      changeCursor.unfollow();
      failures = 0;
      await Promise.race([changeCursor.passEnded, pause(jittered(POLL_MS))]);
      continue;
    }
    try {
      const start = performance.now();
      const waitS = failures > 0 ? 0 : MAX_WAIT_S;
      const result = await ask(deps, cursor, waitS, signal);
      const tookMs = performance.now() - start;
      const isBack = failures >= FAILURES_UNTIL_UNREACHABLE && result !== 'ended';
      failures = 0;
      if (result === 'changes' || result === 'lost' || isBack) {
        const { passEnded } = changeCursor;
        deps.requestPass();
        deps.prefetcher.begin();
        await Promise.race([passEnded, pause(jittered(MAX_WAIT_MS))]);
        // The cursor is unchanged if the pass could not read the changes: the retry is delayed.
        if (result !== 'unchanged' && changeCursor.cursor === cursor) await pause(jittered(POLL_MS));
      } else if (result === 'unchanged') deps.unchanged();
      // A request that was aborted here, or that did not wait, does not count for the pace.
      if (result !== 'ended' && waitS > 0) {
        const ms = pace.after(tookMs, result === 'changes' ? 'new' : 'nothing');
        if (ms > 0) await pause(jittered(ms));
      }
    } catch (err) {
      changeCursor.unfollow();
      if (signal.aborted) return;
      failures += 1;
      const ms = waitAfter(err, failures);
      log.debug({ err, ms }, 'failed to poll the parent for changes; retrying');
      if (failures === FAILURES_UNTIL_UNREACHABLE && isUnreachableFault(err))
        deps.reportUnreachable(err.message);
      await pause(ms);
    }
  }
}

/** `lost`: the parent does not know the cursor. `ended`: the request was aborted by this layer. */
async function ask(
  deps: FollowDeps,
  cursor: string,
  waitS: number,
  signal: AbortSignal,
): Promise<'changes' | 'lost' | 'unchanged' | 'ended'> {
  const { changeCursor } = deps;
  using gate = new LinkGate(deps.link, 'live');
  const superseded = new AbortController();
  try {
    const feed = await deps.feed();
    const identity = await deps.identity();
    const either = AbortSignal.any([signal, gate.signal, superseded.signal]);
    // Once the prefetcher is idle, this request has to ask for arriving content, too.
    using _idle = deps.prefetcher.onIdle(() =>
      superseded.abort(new Error('superseded by a request for arriving content')),
    );
    const answer = await feed.changes(cursor, waitS, either, {
      arriving: deps.prefetcher.idle,
      identity,
    });
    if (!answer) {
      changeCursor.unfollow();
      return 'changes';
    }
    if (answer.arriving) deps.prefetcher.begin();
    if (answer.lost || answer.changes.length > 0) {
      changeCursor.changed();
      return answer.lost ? 'lost' : 'changes';
    }
    changeCursor.unchanged(cursor, answer.cursor, answer.known === true);
    return 'unchanged';
  } catch (error) {
    if ((gate.isClosed || superseded.signal.aborted) && !signal.aborted) return 'ended';
    throw error;
  }
}
