import { described } from '../contract/contract.ts';
import { Bytes, Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/**
 * Synchronization state as a figure: how a layer, a repository or a tag stands against the parent as last known.
 *
 * The same figure is in the status of the command line, the API, the page, the twin, the metrics and the reports to the
 * parent, so the top layer has it for every layer below.
 */

export const SyncState = Type.Union(
  [
    Type.Literal('in-sync'),
    Type.Literal('behind'),
    Type.Literal('ahead'),
    Type.Literal('diverged'),
    Type.Literal('unknown'),
    Type.Literal('local'),
  ],
  {
    description:
      'in-sync: equal to the parent. behind: the parent has changes that are not here yet. ahead: changes made here are not at the parent yet. diverged: both. unknown: not compared yet, or the last comparison failed. local: of a repository or tag that is not exchanged with the parent.',
  },
);
export type SyncState = Static<typeof SyncState>;

/** Changes of the parent that are not here yet. */
export const Behind = Type.Object({
  tags: described(Count, 'Tags that the parent moved, added or deleted.'),
  bytes: described(Bytes, 'Bytes still to transfer, as far as they are known.'),
  unsized: described(Count, 'Tags whose bytes are not known yet.'),
  failed: described(Count, 'Tags whose last attempt failed.'),
  since: Type.Optional(described(Instant, 'When the first of these changes became known here.')),
});
export type Behind = Static<typeof Behind>;

/** Changes made here that are not at the parent yet. */
export const Ahead = Type.Object({
  tags: described(Count, 'Tags that were moved, added or deleted here.'),
  manifests: described(Count, 'Manifests to push.'),
  deletions: described(Count, 'Deletions to push.'),
  parked: described(Count, 'Changes that the parent refused; each is retried later.'),
});
export type Ahead = Static<typeof Ahead>;

/** Absent for a layer without a parent. */
export const SyncFigure = Type.Object({
  state: SyncState,
  asOf: Type.Optional(described(Instant, 'When the layer last knew the state of its parent.')),
  behind: Behind,
  until: Type.Optional(
    described(
      Instant,
      'When `behind` will be done, by the present rate, the windows and the bandwidth. Absent if that is unknown.',
    ),
  ),
  rate: Type.Optional(described(Bytes, 'Bytes a second that arrive from the parent now.')),
  ahead: Ahead,
  uncompared: Type.Optional(
    described(Count, 'Repositories that could not be compared: what differs in them is not counted.'),
  ),
  conflicts: described(Count, 'Tags here that hold the loser of a conflict.'),
  leftOut: described(Count, 'Images here that lack something that the parent does not provide.'),
});
export type SyncFigure = Static<typeof SyncFigure>;
