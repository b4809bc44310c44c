import { isDeepStrictEqual } from 'node:util';
import { clip } from '#proto/contract/clip.ts';
import { MAX_REASON } from '#proto/contract/fault.ts';
import { CHANGES_PARKED, type LinkStatus, PASS_ABANDONED } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { linkAt } from '../schedule/hours.ts';
import { nextTime, type Times } from '../schedule/window.ts';

/** What a pass says of the link. Pure. */

export type LinkState = {
  state: Exclude<LinkStatus['state'], 'Syncing'>;
  detail?: string;
  code?: NonNullable<LinkStatus['code']>;
};

const WELL: LinkState = { state: 'Online' };

/** What is said where the coordinator that had begun a pass is gone, and none begins now. */
export const ABANDONED: LinkState = {
  state: 'Unhealthy',
  detail: 'the last pass did not come to its end',
  code: PASS_ABANDONED,
};

const UNHEARD: LinkState = {
  state: 'Offline',
  detail: 'the pass was ended before the parent had answered',
  code: 'parent-unreachable',
};

/**
 * @param before what was so before the pass, where that is known
 * @param whole whether the pass looked at everything
 */
export function stateAfter(before: LinkState | undefined, result: PassResult, whole: boolean): LinkState {
  const { ended, failed, failures, parked, unheard } = result;
  if (ended && (failed > 0 || unheard) && before) return before;
  if (unheard && failed === 0) return UNHEARD;
  if (failed === 0 && parked === 0) {
    // What a whole pass left undone, one that looked at a little else has not done.
    if (!whole && before?.state === 'Unhealthy') return before;
    return WELL;
  }
  const seemedWell = before === undefined || before.state === 'Offline' || isDeepStrictEqual(before, WELL);
  if (seemedWell && parked === 0 && failures.every(({ code }) => code === 'conflict')) {
    // Somebody was faster: the next pass decides again. Only one that finds it so once more has something to tell.
    return { ...WELL, ...reasonOf(result, failures[0]) };
  }
  const away = failures.filter(({ code }) => code === 'parent-unreachable');
  // What is parked is among the failures, and has not failed in this pass.
  const others = failures.length - away.length;
  if (failed > 0 && away.length > 0 && others <= parked) {
    return { state: 'Offline', ...reasonOf(result, away[0]) };
  }
  return { state: 'Unhealthy', ...reasonOf(result, failures[0]) };
}

/** The first failure, how many more there are, and how many of all changes are parked. */
function reasonOf(
  { failed, parked }: PassResult,
  first: PassResult['failures'][0] | undefined,
): Required<Pick<LinkState, 'detail' | 'code'>> {
  const where = [first?.repository, first?.tag].filter(Boolean).join(':');
  const more = failed + parked > 1 ? ` (and ${failed + parked - 1} more)` : '';
  const parts = [
    ...(first ? [`${where ? `${where}: ` : ''}${first.reason}${more}`] : []),
    ...(parked > 0 ? [`${parked} parked`] : []),
  ];
  return { detail: clip(parts.join('; '), MAX_REASON), code: first?.code ?? CHANGES_PARKED };
}

/** What is told of the window and the schedule. */
export function hoursOf(times: Times, now: number): Pick<LinkStatus, 'window' | 'next' | 'live'> {
  const { usable, live, until } = linkAt(times, now);
  const next = nextTime(times.schedule, now);
  return {
    ...(until !== undefined && { window: { open: usable, until } }),
    ...(next !== undefined && { next }),
    ...(live && { live }),
  };
}
