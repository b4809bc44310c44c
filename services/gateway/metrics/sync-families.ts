import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { byWord, type Family, gauge, oneOf, seconds } from './family.ts';
import type { Figures } from './figures.ts';

/** How the layer stands against its parent as last known. Absent without a parent. */

const states = ['in-sync', 'behind', 'ahead', 'diverged', 'unknown'];

const ofSync =
  (read: (sync: SyncFigure, figures: Figures) => number | undefined) =>
  (figures: Figures): number | undefined => {
    const { sync } = figures.status;
    return sync && read(sync, figures);
  };

export const syncFamilies: Family[] = [
  gauge(
    'sync_state',
    'Whether the layer equals its parent as last known: 1 for the state that holds.',
    ({ status: { sync } }) => sync && oneOf('state', states, sync.state),
    'state',
  ),
  gauge(
    'sync_behind_tags',
    'Tags that the parent moved, added or deleted, and that are not so here yet.',
    ofSync(({ behind }) => behind.tags),
  ),
  gauge(
    'sync_behind_bytes',
    'Bytes still to transfer for these tags, as far as they are known.',
    ofSync(({ behind }) => behind.bytes),
  ),
  gauge(
    'sync_behind_unsized_tags',
    'Those of these tags whose bytes are not known yet.',
    ofSync(({ behind }) => behind.unsized),
  ),
  gauge(
    'sync_behind_failed_tags',
    'Those of these tags whose last attempt failed.',
    ofSync(({ behind }) => behind.failed),
  ),
  gauge(
    'sync_behind_seconds',
    'Time since the oldest of these changes became known here; 0 if there is none.',
    ofSync(({ behind }, { now }) =>
      behind.since === undefined ? 0 : Math.max(0, now - behind.since) / 1_000,
    ),
  ),
  gauge(
    'sync_uncompared_repositories',
    'Repositories that the last pass could not compare with the parent.',
    ofSync(({ uncompared = 0 }) => uncompared),
  ),
  gauge(
    'sync_known_timestamp_seconds',
    'When the layer last knew the state of its parent, in seconds since 1970.',
    ofSync(({ asOf }) => seconds(asOf)),
  ),
  gauge(
    'sync_done_timestamp_seconds',
    'When what is missing will be here, by the present rate, the windows and the bandwidth, in seconds since 1970; absent if that is unknown.',
    ofSync(({ until }) => seconds(until)),
  ),
  gauge(
    'sync_conflicts',
    'Tags that hold the loser of a conflict.',
    ofSync(({ conflicts }) => conflicts),
  ),
  gauge(
    'left_out',
    'What the layer lacks of the content that it selects, as the parent does not provide it: images that lack something, and the referrers, entries of indexes and tags that are missing.',
    ({ status: { link } }) => {
      if (!link) return undefined;
      const { images = 0, referrers = 0, children = 0, tags = 0 } = link.leftOut ?? {};
      return byWord('kind', { image: images, referrer: referrers, child: children, tag: tags });
    },
    'kind',
  ),
  gauge(
    'unmatched_selections',
    'Selections that match nothing, neither at the parent nor here. At most 50.',
    ({ status: { link } }) => link && (link.unmatched?.length ?? 0),
  ),
];
