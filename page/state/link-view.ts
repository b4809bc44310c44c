import type { LinkStatus } from '#proto/status/status.ts';
import type { LinkPause } from '#proto/sync/pause.ts';
import { agoText, instantText, inText, whenText } from '../format/times.ts';
import type { Tone } from './tone.ts';

/** A link as the page shows it. `label` is one or two words, `detail` a sentence. */
export type LinkView = { tone: Tone; label: string; detail?: string };

/** Codes of a link that is online although something needs attention. */
const INCOMPLETE = new Set(['changes-parked', 'content-left-out']);
const CUT_OFF = 'not-heard';
const WINDOW_CLOSED = 'window-closed';

export function linkView(
  status: LinkStatus | undefined,
  {
    known = true,
    paused = status?.paused,
  }: { known?: boolean | undefined; paused?: Partial<LinkPause> | undefined } = {},
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
      // Before its first window, a new layer has no other state.
      if (status.code === WINDOW_CLOSED) return { tone: 'quiet', label: 'Window closed', ...detail };
      return { tone: 'error', label: status.code === CUT_OFF ? 'Cut off' : 'Offline', ...detail };
    case 'Unhealthy':
      return { tone: 'error', label: 'Unhealthy', ...detail };
    default: {
      if (status.window && !status.window.open) return { tone: 'quiet', label: 'Window closed', ...detail };
      return { tone: INCOMPLETE.has(status.code ?? '') ? 'warning' : 'good', label: 'Online', ...detail };
    }
  }
}

/** `last sync 18 s ago`; of a layer whose passes all left something out, when it was last compared. */
export function lastSyncText(status: LinkStatus | undefined, now: number): string {
  if (status?.lastSync !== undefined) return `last sync ${agoText(status.lastSync, now)}`;
  if (status?.comparedAt !== undefined) return `last compared ${agoText(status.comparedAt, now)}`;
  return 'never synchronized';
}

/** When the link may be used: `follows its parent`, `window open until 14:00`, `next pass in 40 s`. */
export function scheduleText(status: LinkStatus | undefined, now: number): string | undefined {
  if (!status) return undefined;
  const { window, next, live } = status;
  if (window) return `window ${window.open ? 'open' : 'closed'} until ${whenText(window.until, now)}`;
  if (live) return 'follows its parent';
  return next === undefined ? undefined : `next pass ${inText(next, now)}`;
}
