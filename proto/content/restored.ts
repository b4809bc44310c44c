import { described, event, request } from '../contract/contract.ts';
import { Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';
import { BackupId } from './backups.ts';

/**
 * A restored layer: what became of the changes that were made in it after its backup. Its parent, if that is a Terrace,
 * has the events of these changes, as far as they were sent and are retained.
 */

/** Max names in a list. */
export const MAX_RESTORED_NAMES = 100;
const Names = Type.Array(Type.String({ maxLength: 512 }), { maxItems: MAX_RESTORED_NAMES });

/** `known`: the parent has events of this layer; `complete`: of all the time since the backup. */
export const RestoredReport = Type.Object({
  known: described(Type.Boolean(), 'Whether the parent knows changes that were made here after the backup.'),
  complete: described(Type.Boolean(), 'Whether its history reaches back to the backup.'),
  back: described(Count, 'Tags whose last known content after the backup is here again.'),
  lost: described(Count, 'Tags whose last known content after the backup is not here.'),
  lostFirst: described(Names, 'The first of them, as `<repository>:<tag>@<digest>`.'),
  returned: described(Count, 'Tags that were deleted after the backup, and are here again.'),
  returnedFirst: described(Names, 'The first of them, as `<repository>:<tag>`.'),
});
export type RestoredReport = Static<typeof RestoredReport>;

/** `report`: once the first pass after the restore was complete. */
export const RestoredStatus = Type.Object({
  backup: BackupId,
  at: described(Instant, 'The instant that the backup shows.'),
  restored: described(Instant, 'When it was restored.'),
  report: Type.Optional(RestoredReport),
});
export type RestoredStatus = Static<typeof RestoredStatus>;

/** Empty if the layer was not restored. */
export const getRestored = request(
  'storage.restored.get',
  Type.Object({}),
  Type.Object({ restored: Type.Optional(RestoredStatus) }),
);

/** Max changes in one message. */
export const MAX_RESTORED_CHANGES = 500;

/** The last known target of a tag, before the layer was lost; `null`: it was deleted. */
export const ReportedChange = Type.Object({
  repository: Repository,
  tag: Tag,
  digest: Type.Union([Digest, Type.Null()]),
});
export type ReportedChange = Static<typeof ReportedChange>;

/** Compares changes with what is here. `first` discards what was compared before; `last` ends the report. */
export const compareRestored = request(
  'storage.restored.compare',
  Type.Object({
    changes: Type.Array(ReportedChange, { maxItems: MAX_RESTORED_CHANGES }),
    first: Type.Boolean(),
    last: Type.Optional(Type.Object({ known: Type.Boolean(), complete: Type.Boolean() })),
  }),
  Type.Object({}),
);

/** The first complete pass of a restored layer has shown what came back, and what is lost. */
export const layerRestored = event(
  'layer.restored',
  Type.Object({ backup: BackupId, at: RestoredStatus.properties.at, ...RestoredReport.properties }),
);

/**
 * What a parent knows of the changes of tags that a child reported: the answer to GET of the path of its reports, with
 * the parameters `since` and `until` (of the events, in ms since 1970), `layer` (the name of the child's layer) and
 * `after` (`next` of the page before).
 */
export const ReportedChanges = Type.Object({
  /** In the order in which they happened. */
  changes: Type.Array(ReportedChange, { maxItems: MAX_RESTORED_CHANGES }),
  next: Type.Integer({ minimum: 0 }),
  more: Type.Boolean(),
  /** The history of the parent reaches back to `since`. */
  complete: Type.Boolean(),
});
export type ReportedChanges = Static<typeof ReportedChanges>;
