import type { LinkStatus } from '#proto/status/status.ts';
import type { LinkPause } from '#proto/sync/pause.ts';
import { agoText, instantText, inText, whenText } from '../format/times.ts';
import type { Tone } from './tone.ts';

/** A link as the page shows it. `label` is one or two words, `detail` a sentence. */
export type LinkView = { tone: Tone; label: string; detail?: string };

/** Codes of a link that is online although something needs attention. */
const INCOMPLETE = new Set(['changes-parked', 'content-left-out']);
const CUT_OFF = 'not-heard';

export function linkView(
  status: LinkStatus | undefined,
  { known = true, paused }: { known?: boolean | undefined; paused?: Partial<LinkPause> | undefined } = {},
): LinkView {
  if (paused) {
    const by = paused.by ? ` by ${paused.by}` : '';
    const until = paused.until === undefined ? '' : ` until ${instantText(paused.until)}`;
    return {
      tone: 'warning',
      label: 'Paused',
      detail: `Paused${by}${until}${paused.reason ? `: ${paused.reason}` : ''}`,
    };
  }
  if (!known) {
    const last = status ? `; the last known state was ${status.state}` : '';
    return { tone: 'unknown', label: 'Unknown', detail: `No syncer answers${last}` };
  }
  if (!status) return { tone: 'unknown', label: 'Not tried yet' };
  const detail = status.detail && { detail: status.detail };
  switch (status.state) {
    case 'Syncing':
      return { tone: 'busy', label: 'Syncing', ...detail };
    case 'Offline':
      return { tone: 'error', label: status.code === CUT_OFF ? 'Cut off' : 'Offline', ...detail };
    case 'Unhealthy':
      return { tone: 'error', label: 'Unhealthy', ...detail };
    default: {
      if (status.window && !status.window.open) return { tone: 'quiet', label: 'Window closed', ...detail };
      return { tone: INCOMPLETE.has(status.code ?? '') ? 'warning' : 'good', label: 'Online', ...detail };
    }
  }
}

/** `last sync 18 s ago` */
export const lastSyncText = (status: LinkStatus | undefined, now: number): string =>
  status?.lastSync === undefined ? 'never synchronized' : `last sync ${agoText(status.lastSync, now)}`;

/** When the link may be used: `follows its parent`, `window open until 14:00`, `next pass in 40 s`. */
export function scheduleText(status: LinkStatus | undefined, now: number): string | undefined {
  if (!status) return undefined;
  const { window, next, live } = status;
  if (window) return `window ${window.open ? 'open' : 'closed'} until ${whenText(window.until, now)}`;
  if (live) return 'follows its parent';
  return next === undefined ? undefined : `next pass ${inText(next, now)}`;
}
