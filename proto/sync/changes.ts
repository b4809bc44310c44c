import { type Static, Type } from '@sinclair/typebox';
import { Fenced } from '../content/terms.ts';
import { request } from '../contract/contract.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';

/**
 * What changed in a layer, in order, for the layers below it: a journal that storage writes in the batch of each
 * change, so nothing is in one and not in the other. A cursor names a place in it. One that storage does not know
 * (too old, or of another data volume, or of one that was restored from a copy) is answered as `lost`: what changed
 * since then is found by comparing everything.
 */
export const Cursor = Type.String({ pattern: '^[0-9a-z.-]{1,64}$', maxLength: 64 });

/** Each repair of metadata has one. */
export const RepairId = Type.String({ pattern: '^[0-9a-f]{1,32}$', maxLength: 32 });

export const ContentChange = Type.Union([
  /** What the tag points to now; `null`: there is none. */
  Type.Object({ repository: Repository, tag: Tag, digest: Type.Union([Digest, Type.Null()]) }),
  /** A referrer of this manifest came or went, or a child that its index had left out came. */
  Type.Object({ repository: Repository, around: Digest }),
]);
export type ContentChange = Static<typeof ContentChange>;

export const Changes = Type.Object({
  /** Behind the last one of these. */
  cursor: Cursor,
  lost: Type.Boolean(),
  changes: Type.Array(ContentChange, { maxItems: 1000 }),
  /** There are more behind the cursor. */
  more: Type.Boolean(),
  /** The metadata here were repaired, and may lack what they had: which repair was the last. Absent where none was. */
  repaired: Type.Optional(RepairId),
  /** Where it was asked for: content is on its way here from above, which the caller may pull. See arriving.ts. */
  arriving: Type.Optional(Type.Boolean()),
  /** The caller said who it is, is noted as being there, and has its place: it need not say so otherwise. */
  known: Type.Optional(Type.Boolean()),
});
export type Changes = Static<typeof Changes>;

/** What changed behind `after`; without it, where the journal ends now. Each thing is told once in an answer. */
export const listChanges = request(
  'storage.change.list',
  Type.Object({ after: Type.Optional(Cursor), limit: Type.Integer({ minimum: 1, maximum: 1000 }) }),
  Changes,
);

/** How far in the parent's journal both agree. `of` names the parent and all that decides what comes from it. */
export const keepCursor = request(
  'storage.cursor.keep',
  Type.Object({
    of: Type.String({ maxLength: 128 }),
    cursor: Type.Union([Cursor, Type.Null()]),
    ...Fenced,
  }),
  Type.Object({}),
);

/** `cursor` is absent where none was kept of just this. */
export const getCursor = request(
  'storage.cursor.get',
  Type.Object({ of: Type.String({ maxLength: 128 }) }),
  Type.Object({ cursor: Type.Optional(Cursor) }),
);

/**
 * Where a layer tells them over HTTP; `after` and `wait` (seconds) are its parameters. With `arriving=1` the wait ends
 * also where content is on its way here: whoever follows that already leaves it out. A layer that keeps such a request
 * here says with `child` and `instance` who it is.
 */
export const CHANGES_PATH = '/v2/_terrace/changes';
/** The longest wait: proxies give up on an answer after a minute, unless told otherwise. In seconds. */
export const MAX_WAIT_S = 58;
