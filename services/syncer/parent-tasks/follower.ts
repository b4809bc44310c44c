import { setTimeout as sleep } from 'node:timers/promises';
import type { LayerIdentity } from '#proto/accounts/children.ts';
import { jittered } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import { MAX_WAIT_S } from '#proto/sync/changes.ts';
import type { ParentFeed } from '../link/parent/feed.ts';
import type { ChangeCursor } from '../reconcile/observe/news.ts';
import type { Link } from '../schedule/hours.ts';
import { LinkGate } from '../schedule/link-gate.ts';
import { AnswerPace } from './answer-pace.ts';
import type { Prefetcher } from './prefetcher.ts';
import { isAway, waitAfter } from './wait-after.ts';

/** How long the link and the first pass are waited for before they are looked at again, in ms. */
const POLL_MS = 5_000;
const MAX_WAIT_MS = 60_000;
/** A connection that breaks once may be a proxy's time-out; one that can't be made anew is a link that is gone. */
const FAILURES_UNTIL_UNREACHABLE = 2;

export type FollowDeps = {
  changeCursor: ChangeCursor;
  feed: () => Promise<Pick<ParentFeed, 'changes'>>;
  /** This layer. */
  identity: () => Promise<LayerIdentity>;
  /** Undefined where there is no parent. */
  link: () => Link | undefined;
  /** Hears of what is on its way to the parent. */
  prefetcher: Pick<Prefetcher, 'idle' | 'begin' | 'onIdle'>;
  /** The parent has something to tell, or answers again. */
  tell: () => void;
  /** The parent has answered that nothing is new: a pass that begins now need not ask it. */
  unchanged: () => void;
  /** The parent does not answer. */
  unreachable: (reason: string) => void;
  log: Log;
  pace?: Pick<AnswerPace, 'after'>;
};

/**
 * Waits for what the parent tells, for as long as `signal` lets it and the link may be used the whole time or its
 * window is open: one request that the parent answers when something has changed there, or when its time is over. What
 * changed is asked for by the pass. After a failure the parent is asked for an answer at once.
 */
export async function follow(deps: FollowDeps, signal: AbortSignal): Promise<void> {
  const { changeCursor, log, pace = new AnswerPace() } = deps;
  let failures = 0;
  const rest = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  while (!signal.aborted) {
    const cursor = changeCursor.cursor;
    if (cursor === undefined || !deps.link()?.live) {
      changeCursor.unfollow();
      failures = 0;
      await Promise.race([changeCursor.turned, rest(jittered(POLL_MS))]);
      continue;
    }
    try {
      const asked = performance.now();
      const waitS = failures > 0 ? 0 : MAX_WAIT_S;
      const found = await ask(deps, cursor, waitS, signal);
      const tookMs = performance.now() - asked;
      const isBack = failures >= FAILURES_UNTIL_UNREACHABLE && found !== 'ended';
      failures = 0;
      if (found === 'changes' || found === 'lost' || isBack) {
        const { turned } = changeCursor;
        deps.tell();
        deps.prefetcher.begin();
        await Promise.race([turned, rest(jittered(MAX_WAIT_MS))]);
        // A pass that could not look asks for the same again, and not at once.
        if (found !== 'unchanged' && changeCursor.cursor === cursor) await rest(jittered(POLL_MS));
      } else if (found === 'unchanged') deps.unchanged();
      // One that this side ended, or asked to be at once, says nothing of the parent.
      if (found !== 'ended' && waitS > 0) {
        const ms = pace.after(tookMs, found === 'changes' ? 'new' : 'nothing');
        if (ms > 0) await rest(ms);
      }
    } catch (err) {
      changeCursor.unfollow();
      if (signal.aborted) return;
      failures += 1;
      const ms = waitAfter(err, failures);
      log.debug({ err, ms }, 'the parent does not tell its changes; asking again');
      if (failures === FAILURES_UNTIL_UNREACHABLE && isAway(err)) deps.unreachable(err.message);
      await rest(ms);
    }
  }
}

/** `lost`: the parent does not know what was changed since. `ended`: the request was ended from here. */
async function ask(
  deps: FollowDeps,
  cursor: string,
  waitS: number,
  signal: AbortSignal,
): Promise<'changes' | 'lost' | 'unchanged' | 'ended'> {
  const { changeCursor } = deps;
  using gate = new LinkGate(deps.link, 'live');
  const reworded = new AbortController();
  try {
    const feed = await deps.feed();
    const identity = await deps.identity();
    const either = AbortSignal.any([signal, gate.signal, reworded.signal]);
    // From then on this has to be asked for, too.
    using _idle = deps.prefetcher.onIdle(() => reworded.abort(new Error('asked again, in other words')));
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
    if ((gate.isClosed || reworded.signal.aborted) && !signal.aborted) return 'ended';
    throw error;
  }
}
