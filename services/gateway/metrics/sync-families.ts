import type { Behind } from '#proto/sync/sync-figure.ts';
import { byWord, type Family, gauge } from './family.ts';
import type { Figures } from './figures.ts';

/** How the layer stands against its parent as last known. Absent without a parent. */

const ofBehind =
  (read: (behind: Behind, figures: Figures) => number | undefined) =>
  (figures: Figures): number | undefined => {
    const { storage, configuration } = figures.status;
    return storage?.behind && configuration?.parent && read(storage.behind, figures);
  };

export const syncFamilies: Family[] = [
  gauge(
    'sync_behind_tags',
    'Tags that the parent moved, added or deleted, and that are not so here yet.',
    ofBehind((behind) => behind.tags),
  ),
  gauge(
    'sync_behind_bytes',
    'Bytes still to transfer for these tags, as far as they are known.',
    ofBehind((behind) => behind.bytes),
  ),
  gauge(
    'sync_behind_unsized_tags',
    'Those of these tags whose bytes are not known yet.',
    ofBehind((behind) => behind.unsized),
  ),
  gauge(
    'sync_behind_failed_tags',
    'Those of these tags whose last attempt failed.',
    ofBehind((behind) => behind.failed),
  ),
  gauge(
    'sync_behind_seconds',
    'Time since the oldest of these changes became known here; 0 if there is none.',
    ofBehind((behind, { now }) => (behind.since === undefined ? 0 : Math.max(0, now - behind.since) / 1_000)),
  ),
  gauge(
    'sync_conflicts',
    'Tags that hold the loser of a conflict.',
    ({ status: { storage } }) => storage?.conflicts,
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
