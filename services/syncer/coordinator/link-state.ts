import { isDeepStrictEqual } from 'node:util';
import { clip } from '#proto/contract/clip.ts';
import { MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import { nextTime, type ScheduleTimes } from '#proto/schedule/window.ts';
import {
  CHANGES_PARKED,
  CONTENT_LEFT_OUT,
  type LinkStatus,
  PASS_ABANDONED,
  PAUSED,
  WINDOW_CLOSED,
} from '#proto/status/status.ts';
import { type LeftOutSummary, leftOutText } from '#proto/sync/left-out.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { type LinkPause, pauseText } from '#proto/sync/pause.ts';
import { linkAt } from '../schedule/link-schedule.ts';

/** The state of the link that follows from the result of a pass. Pure. */

export type LinkState = {
  state: Exclude<LinkStatus['state'], 'Syncing'>;
  detail?: string;
  code?: NonNullable<LinkStatus['code']>;
};

const ONLINE: LinkState = { state: 'Online' };

/** State if a coordinator ended during a pass and no new pass begins now. */
export const ABANDONED: LinkState = {
  state: 'Unhealthy',
  detail: 'the last pass did not finish',
  code: PASS_ABANDONED,
};

/** State while no pass may begin and none has ended. @param opens when the window opens */
export function closedWindow(opens: number | undefined): LinkState {
  const from = opens === undefined ? '' : ` until ${new Date(opens).toISOString()}`;
  return { state: 'Offline', detail: `the window is closed${from}`, code: WINDOW_CLOSED };
}

/** State while the link is paused, in place of any other. */
export const pausedState = (pause: LinkPause): LinkState => ({
  state: 'Offline',
  detail: clip(pauseText(pause), MAX_REASON_LENGTH),
  code: PAUSED,
});

const UNANSWERED: LinkState = {
  state: 'Offline',
  detail: 'the pass ended before the parent answered',
  code: 'parent-unreachable',
};

/** @param before state before the pass, if known */
export function stateAfter(
  before: LinkState | undefined,
  result: PassResult,
  isUnscoped: boolean,
): LinkState {
  const { ended, failed, failures, parked, unanswered, leftOut } = result;
  if (ended && (failed > 0 || unanswered) && before) return before;
  if (unanswered && failed === 0) return UNANSWERED;
  if (failed === 0 && parked === 0) {
    // A scoped pass does not finish what an unscoped one left undone.
    if (!isUnscoped && before?.state === 'Unhealthy') return before;
    return onlineWith(leftOut);
  }
  const wasOnline =
    before === undefined ||
    before.state === 'Offline' ||
    before.code === CONTENT_LEFT_OUT ||
    isDeepStrictEqual(before, ONLINE);
  if (wasOnline && parked === 0 && failures.every(({ code }) => code === 'conflict')) {
    // A tag moved meanwhile: the next pass decides again. Only a second conflict in a row makes the link Unhealthy.
    return { ...ONLINE, ...reasonOf(result, failures[0]) };
  }
  // An error that the parent answers for one tag says nothing about the others, which it has listed.
  const unreachable = failures.filter(
    ({ code, tag, status }) => code === 'parent-unreachable' && (tag === undefined || status === undefined),
  );
  // Parked changes are listed in `failures`, but did not fail in this pass.
  const others = failures.length - unreachable.length;
  if (failed > 0 && unreachable.length > 0 && others <= parked) {
    return { state: 'Offline', ...reasonOf(result, unreachable[0]) };
  }
  return { state: 'Unhealthy', ...reasonOf(result, failures[0]) };
}

const onlineWith = (leftOut: LeftOutSummary | undefined): LinkState =>
  leftOut
    ? { ...ONLINE, detail: clip(leftOutText(leftOut), MAX_REASON_LENGTH), code: CONTENT_LEFT_OUT }
    : ONLINE;

/** Describes the first failure, the number of further ones, and the number of parked changes. */
function reasonOf(
  { failed, parked, failures }: PassResult,
  first: PassResult['failures'][0] | undefined,
): Required<Pick<LinkState, 'detail' | 'code'>> {
  const where = [first?.repository, first?.tag].filter(Boolean).join(':');
  // One failure stands for all changes that the login may not push.
  const isOnlyDenial = failures.length === 1 && failures[0]?.code === 'denied';
  const more = failed + parked > 1 && !isOnlyDenial ? ` (and ${failed + parked - 1} more)` : '';
  const parts = [
    ...(first ? [`${where ? `${where}: ` : ''}${first.reason}${more}`] : []),
    ...(parked > 0 ? [`${parked} parked`] : []),
  ];
  return { detail: clip(parts.join('; '), MAX_REASON_LENGTH), code: first?.code ?? CHANGES_PARKED };
}

/** The fields of the link status for window, schedule and pause. */
export function scheduleFields(
  { schedule, windowMs, paused }: ScheduleTimes,
  now: number,
): Pick<LinkStatus, 'window' | 'next' | 'live' | 'paused'> {
  const { usable, live, until } = linkAt({ schedule, windowMs }, now);
  const window = until !== undefined && { window: { open: usable, until } };
  if (paused) return { ...window, paused };
  const next = nextTime(schedule, now);
  return {
    ...window,
    ...(next !== undefined && { next }),
    ...(live && { live }),
  };
}
