import type { Layer } from '#proto/api/layer.ts';
import type { LinkStatus } from '#proto/status/status.ts';
import { changesToPush } from '#proto/sync/changes-to-push.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { bytesText, plural } from '../format/quantities.ts';
import { agoText, inText, whenText } from '../format/times.ts';
import type { Tone } from './tone.ts';

/** Whether a layer is equal to its parent, in words: a headline that is read from afar, and one line below it. */
export type Verdict = { tone: Tone; headline: string; detail: string; until?: string };

type Compared = Pick<Layer, 'mode' | 'sync' | 'link' | 'parent' | 'linkKnown'> & {
  silent?: Layer['silent'];
};

export function verdictOf(
  { mode, sync, link, parent, linkKnown, silent = [] }: Compared,
  now: number,
): Verdict {
  if (!sync && silent.includes('storage')) {
    const what = mode ? 'Whether it equals its parent' : 'The configuration of the layer';
    if (parent || !mode)
      return {
        tone: 'unknown',
        headline: 'Not known',
        detail: `${what} is not known: storage does not answer.`,
      };
  }
  // A layer without a configuration has no parent that it knows of, and may still get one.
  if (!mode) return { tone: 'unknown', headline: 'Not known', detail: 'The layer has no configuration yet.' };
  if (!parent) {
    return {
      tone: 'quiet',
      headline: 'Top layer',
      detail: 'It has no parent: its clients decide what it holds.',
    };
  }
  const isCurrent = link !== undefined && linkKnown !== false && link.state !== 'Offline';
  const asOf = sync?.asOf === undefined ? 'not compared yet' : `as of ${agoText(sync.asOf, now)}`;
  if (!sync || sync.state === 'unknown') {
    return {
      tone: 'unknown',
      headline: 'Not known',
      detail: unknownText(sync, now),
    };
  }
  const until = untilText(sync, now);
  const missing = missingText(sync);
  const pending = pendingText(sync);
  const uncompared = uncomparedText(sync);
  const stale = `${isCurrent ? '' : `, ${asOf}`}${uncompared && `; ${uncompared}`}`;
  switch (sync.state) {
    case 'in-sync':
      return isCurrent
        ? { tone: 'good', headline: 'In sync', detail: inSyncDetail(sync, asOf) }
        : {
            tone: 'warning',
            headline: 'Was in sync',
            detail: `${staleText(link, linkKnown)}, so the parent may have changed since: ${asOf}.`,
          };
    case 'behind':
      return {
        tone: tone(sync),
        headline: `Behind by ${plural(sync.behind.tags, 'tag')}`,
        detail: `${missing}${stale}`,
        ...until,
      };
    case 'ahead':
      return { tone: tone(sync), headline: 'Ahead of its parent', detail: `${pending}${stale}` };
    default:
      return {
        tone: tone(sync),
        headline: 'Behind and ahead',
        detail: `${missing}; ${pending}${stale}`,
        ...until,
      };
  }
}

/** A comparison that failed in part leaves the time of the last complete one. */
function unknownText(sync: SyncFigure | undefined, now: number): string {
  if (!sync) return 'Whether it equals its parent is not known.';
  if (sync.asOf === undefined) return 'It was not compared with its parent yet.';
  const failure = uncomparedText(sync) || 'The last comparison failed in part';
  return `${failure}; the last complete one was ${agoText(sync.asOf, now)}.`;
}

const uncomparedText = ({ uncompared = 0 }: SyncFigure): string =>
  uncompared > 0
    ? `${plural(uncompared, 'repository', 'repositories')} could not be compared in the last comparison`
    : '';

/** Why nothing is known of the parent now. */
function staleText(link: LinkStatus | undefined, isKnown: boolean | undefined): string {
  if (isKnown === false) return 'No syncer answers';
  if (link?.paused || link?.code === 'paused') return 'The link is paused';
  if (link?.code === 'window-closed') return 'The window of the link is closed';
  return link ? 'The parent does not answer' : 'The link was not used yet';
}

/** The state of a figure in a word, for lists of layers, repositories and tags. */
export const STATE_WORDS: Record<SyncFigure['state'], { tone: Tone; word: string }> = {
  'in-sync': { tone: 'good', word: 'In sync' },
  behind: { tone: 'busy', word: 'Behind' },
  ahead: { tone: 'busy', word: 'Ahead' },
  diverged: { tone: 'warning', word: 'Diverged' },
  unknown: { tone: 'unknown', word: 'Unknown' },
  local: { tone: 'quiet', word: 'Only here' },
};

/** One line about a figure: `Behind by 3 tags, 1.2 GB; 2 manifests to push`. */
export function figureText(sync: Pick<SyncFigure, 'state'> & Partial<SyncFigure>): string {
  const { behind, ahead } = sync;
  const parts = [
    ...(behind && behind.tags > 0 ? [`Behind by ${plural(behind.tags, 'tag')}, ${sizeText(behind)}`] : []),
    ...(ahead && aheadCount(ahead) > 0 ? [pendingText({ ahead })] : []),
  ];
  return parts.length > 0 ? parts.join('; ') : STATE_WORDS[sync.state].word;
}

const aheadCount = (ahead: SyncFigure['ahead']) => changesToPush(ahead) + ahead.parked;

function tone({ behind, ahead, conflicts }: SyncFigure): Tone {
  if (behind.failed > 0 || ahead.parked > 0) return 'error';
  return conflicts > 0 ? 'warning' : 'busy';
}

function inSyncDetail({ leftOut, conflicts }: SyncFigure, asOf: string): string {
  const but = [
    ...(leftOut > 0 ? [`${plural(leftOut, 'image')} without content that the parent does not provide`] : []),
    ...(conflicts > 0 ? [plural(conflicts, 'conflict tag')] : []),
  ];
  const begin = `All selected content is here, and all changes are at the parent, ${asOf}`;
  return but.length > 0 ? `${begin}; ${but.join(', ')}.` : `${begin}.`;
}

function missingText({ behind }: Pick<SyncFigure, 'behind'>): string {
  const { tags, failed } = behind;
  const size = sizeText(behind);
  return `${plural(tags, 'tag')} missing, ${size} to transfer${failed > 0 ? `, ${failed} failed` : ''}`;
}

function sizeText({ bytes, unsized }: SyncFigure['behind']): string {
  if (unsized > 0 && bytes === 0) return 'unknown size';
  return `${unsized > 0 ? 'at least ' : ''}${bytesText(bytes)}`;
}

function pendingText({ ahead }: Pick<SyncFigure, 'ahead'>): string {
  const parts = [
    ...(ahead.tags > 0 && ahead.manifests + ahead.deletions === 0
      ? [`${plural(ahead.tags, 'tag')} to push`]
      : []),
    ...(ahead.manifests > 0 ? [`${plural(ahead.manifests, 'manifest')} to push`] : []),
    ...(ahead.deletions > 0 ? [`${plural(ahead.deletions, 'deletion')} to push`] : []),
    ...(ahead.parked > 0 ? [`${ahead.parked} refused by the parent`] : []),
  ];
  return parts.join(', ');
}

function untilText({ until }: SyncFigure, now: number): { until?: string } {
  if (until === undefined) return {};
  return { until: `done at about ${whenText(until, now)}, ${inText(until, now)}` };
}
