import type { LinkStatus } from '../status/status.ts';
import type { SyncFigure } from '../sync/sync-figure.ts';

/** A layer below as it reported last: `at` by its own clock, `seen` by the clock of this layer. */
type Reported = {
  link?: LinkStatus | undefined;
  sync?: SyncFigure | undefined;
  at?: number | undefined;
  seen: number;
};

/**
 * As of when the figure of a layer below holds, if its parent may have changed since: the layer is cut off, or its link
 * is not in use. Pure.
 * @returns undefined if the figure holds now
 */
export function lastKnown({ link, sync, at, seen }: Reported): number | undefined {
  if (link?.state !== 'Offline') return undefined;
  const age = sync?.asOf === undefined || at === undefined ? 0 : Math.max(0, at - sync.asOf);
  return Math.min(seen, link.since) - age;
}
