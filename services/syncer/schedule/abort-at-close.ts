import { Fault } from '#proto/contract/fault.ts';
import { Alarm } from './alarm.ts';
import type { LinkUse } from './link-schedule.ts';
import { pausedFault } from './pause-watch.ts';

/** The Fault `window-closed`, with the time at which the window opens. */
const windowClosed = ({ until }: LinkUse): Fault =>
  new Fault(
    'window-closed',
    `the window is closed${until === undefined ? '' : ` until ${new Date(until).toISOString()}`}: to use the link outside the window, run terrace sync --now`,
    { detail: { until } },
  );

/** Why the link may not be used, and the remedy. */
export const unusable = (at: LinkUse): Fault => (at.paused ? pausedFault(at.paused) : windowClosed(at));

/** Aborts `end` when the window closes, also if the clock was set. Undefined without a deadline. */
export function abortAtClose(
  until: number | undefined,
  link: () => LinkUse | undefined,
  end: AbortController,
): Disposable | undefined {
  if (until === undefined) return undefined;
  return new Alarm((now) => {
    const at = link();
    if (now >= until || !at?.usable) end.abort(unusable(at ?? { usable: false, live: false }));
    return end.signal.aborted ? undefined : until;
  });
}
