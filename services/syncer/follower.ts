import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#proto/bus.ts';
import { LONGEST_WAIT_S } from '#proto/changes.ts';
import { Alarm } from './alarm.ts';
import type { Early } from './early.ts';
import type { Link } from './hours.ts';
import type { ParentFeed } from './link/feed.ts';
import type { News } from './reconcile/news.ts';

/** How long the link and the first pass are waited for before they are looked at again, in ms. */
const LOOK_MS = 5_000;
const MOST_WAIT_MS = 60_000;

export type FollowMeans = {
  news: News;
  feed: () => Promise<Pick<ParentFeed, 'changes'>>;
  /** Undefined where there is no parent. */
  link: () => Link | undefined;
  /** Hears of what is on its way to the parent. */
  early: Pick<Early, 'idle' | 'begin' | 'onIdle'>;
  /** The parent has something to tell. */
  tell: () => void;
  log: Log;
};

/**
 * Waits for what the parent tells, for as long as `signal` lets it and the link may be used the whole time or its
 * window is open: one request that the parent answers when something has changed there. What it is the pass asks.
 */
export async function follow(means: FollowMeans, signal: AbortSignal): Promise<void> {
  const { news, log } = means;
  let failures = 0;
  const rest = (ms: number) => sleep(ms * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {});
  while (!signal.aborted) {
    const cursor = news.cursor;
    if (cursor === undefined || !means.link()?.live) {
      await Promise.race([news.turned, rest(LOOK_MS)]);
      continue;
    }
    try {
      if (await hasNews(means, cursor, signal)) {
        const { turned } = news;
        means.tell();
        means.early.begin();
        await Promise.race([turned, rest(MOST_WAIT_MS)]);
        // A pass that could not look asks for the same again, and not at once.
        if (news.cursor === cursor) await rest(LOOK_MS);
      }
      failures = 0;
    } catch (err) {
      if (signal.aborted) return;
      failures += 1;
      const ms = Math.min(MOST_WAIT_MS, 1_000 * 2 ** failures);
      log.debug({ err, ms }, 'the parent does not tell its changes; asking again');
      await rest(ms);
    }
  }
}

async function hasNews(means: FollowMeans, cursor: string, signal: AbortSignal): Promise<boolean> {
  const closed = new AbortController();
  using _closing = new Alarm(() => {
    const at = means.link();
    if (!at?.live) closed.abort(new Error('the link may not be used now'));
    return at?.until;
  });
  try {
    using _followed = means.news.follow();
    const feed = await means.feed();
    const either = AbortSignal.any([signal, closed.signal]);
    // From then on this has to be asked for, too.
    using _idle = means.early.onIdle(() => closed.abort(new Error('asked again, in other words')));
    const answer = await feed.changes(cursor, LONGEST_WAIT_S, either, means.early.idle);
    if (!answer) return true;
    if (answer.arriving) means.early.begin();
    if (answer.lost || answer.changes.length > 0) return true;
    means.news.quiet(cursor, answer.cursor);
    return false;
  } catch (error) {
    if (closed.signal.aborted && !signal.aborted) return false;
    throw error;
  }
}
