import { comparisonScope } from '../document/comparison-scope.ts';
import type { Configuration } from '../document/configuration.ts';
import type { Mode } from '../oci/mode.ts';
import { crossedAt } from '../schedule/estimate.ts';
import {
  CHANGES_PARKED,
  CONTENT_LEFT_OUT,
  type LinkStatus,
  PAUSED,
  type SyncerStatus,
  WINDOW_CLOSED,
} from '../status/status.ts';
import type { StorageStatus } from '../status/storage-status.ts';
import type { RepositoryFigures, TagFigures } from '../sync/behind.ts';
import { savedBytes } from '../sync/crossing.ts';
import type { Ahead, Behind, SyncFigure, SyncState } from '../sync/sync-figure.ts';

/** How a layer, a repository or a tag stands against the parent, from the states of the bus. Pure. */

const NOT_BEHIND: Behind = { tags: 0, bytes: 0, unsized: 0, failed: 0 };
const NOT_AHEAD: Ahead = { tags: 0, manifests: 0, deletions: 0, parked: 0 };

/** Codes of a link that is online, although its last pass left something undone that the figure counts by itself. */
const COUNTED_CODES: (string | undefined)[] = [undefined, CHANGES_PARKED, CONTENT_LEFT_OUT];

export type FigureSources = {
  configuration?: Configuration;
  link?: LinkStatus;
  storage?: StorageStatus;
  syncers: SyncerStatus[];
};

/** Undefined for a layer without a parent, and while storage or the configuration is unavailable. */
export function syncFigure(sources: FigureSources, now: number): SyncFigure | undefined {
  const { configuration, link, storage, syncers } = sources;
  if (!configuration?.parent || !storage) return undefined;
  const compared = comparedAt(configuration, link);
  const asOf = compared !== undefined && isFollowed(link, syncers) ? now : compared;
  const recorded = storage.behind ?? NOT_BEHIND;
  const behind = { ...recorded, bytes: Math.max(0, recorded.bytes - partialBytes(syncers)) };
  const { uncompared = 0, outgoing } = storage;
  const { unsent, withdrawn, parked, tags = 0 } = outgoing;
  const ahead =
    configuration.mode === 'ReadWrite'
      ? { tags, manifests: unsent, deletions: withdrawn, parked }
      : NOT_AHEAD;
  const isFailing = link?.state === 'Unhealthy' && !COUNTED_CODES.includes(link.code);
  const rate = rateDown(syncers);
  const until = estimate(behind, sources, rate, now);
  const state = stateOf(behind.tags > 0, isAhead(ahead));
  return {
    // What could not be compared may differ.
    state: state === 'in-sync' && (asOf === undefined || isFailing || uncompared > 0) ? 'unknown' : state,
    ...(asOf !== undefined && { asOf }),
    behind,
    ...(until !== undefined && { until }),
    ...(rate > 0 && { rate }),
    ahead,
    ...(uncompared > 0 && { uncompared }),
    conflicts: storage.conflicts ?? 0,
    leftOut: link?.leftOut?.images ?? 0,
  };
}

/** When all that is exchanged now was compared; undefined if that never was. */
function comparedAt(configuration: Configuration, link: LinkStatus | undefined): number | undefined {
  if (!link) return undefined;
  const { comparedAt: at, comparedScope: scope, lastSync } = link;
  if (scope !== undefined && scope !== comparisonScope(configuration)) return undefined;
  // A status of an earlier version has the end of the last successful pass only.
  return at ?? lastSync;
}

/** Changes at the parent are known as they happen. */
const isFollowed = (link: LinkStatus | undefined, syncers: FigureSources['syncers']): boolean =>
  link?.live === true &&
  link.follows === true &&
  link.state !== 'Offline' &&
  link.state !== 'Unhealthy' &&
  syncers.some(({ coordinates }) => coordinates);

export function repositoryState({ covered, behind, ahead, uncompared }: RepositoryFigures): SyncState {
  if (!covered) return 'local';
  const state = stateOf(behind.tags > 0, isAhead(ahead));
  return state === 'in-sync' && uncompared ? 'unknown' : state;
}

/** @param covered the repository is exchanged with the parent */
export function tagState({ digest, base, behind }: TagFigures, covered: boolean, mode: Mode): SyncState {
  if (!covered) return 'local';
  const isChanged = digest !== base;
  // Content that a ReadOnly layer has of its own is never pushed.
  if (isChanged && !behind && mode === 'ReadOnly') return 'local';
  return stateOf(behind !== undefined, isChanged && mode === 'ReadWrite');
}

const isAhead = ({ tags, manifests, deletions, parked }: Ahead): boolean =>
  tags + manifests + deletions + parked > 0;

function stateOf(behind: boolean, ahead: boolean): SyncState {
  if (behind) return ahead ? 'diverged' : 'behind';
  return ahead ? 'ahead' : 'in-sync';
}

/**
 * Bytes that do not have to cross the link any more, of blobs that count as missing until they are complete: those that
 * are here in part, and those that a delta saves.
 */
const partialBytes = (syncers: FigureSources['syncers']): number =>
  syncers
    .flatMap(({ transfers }) => transfers)
    .filter(({ direction }) => direction === 'down')
    .reduce((sum, transfer) => sum + (transfer.done ?? 0) + savedBytes(transfer), 0);

/** Bytes a second that arrive. */
export const rateDown = (syncers: FigureSources['syncers']): number =>
  syncers.reduce((sum, { rate }) => sum + (rate?.down ?? 0), 0);

/** Tags of unknown size count as the average of the others. */
function estimate(
  { tags, bytes, unsized, failed }: Behind,
  { configuration, link, syncers }: FigureSources,
  rate: number,
  now: number,
): number | undefined {
  const sized = tags - unsized;
  // What failed is tried again at a time that says nothing about its end.
  if (!configuration || sized <= 0 || bytes === 0 || failed === tags) return undefined;
  const isWaiting = link?.code === PAUSED || link?.code === WINDOW_CLOSED;
  if (syncers.length === 0 || (link?.state === 'Offline' && !isWaiting)) return undefined;
  const { schedule, windowMs, bandwidth: limits } = configuration;
  const pace = { times: { schedule, windowMs }, limits, ...(rate > 0 && { rate }) };
  const { paused } = link ?? {};
  if (paused && paused.until === undefined) return undefined;
  return crossedAt(bytes + (bytes / sized) * unsized, pace, Math.max(now, paused?.until ?? now));
}
