import { Fenced } from '../content/terms.ts';
import { request } from '../contract/contract.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';

/**
 * Change feed of a layer, in order, for the layers below it: a journal that storage writes in the batch of each change,
 * so that neither is without the other. A cursor is a position in it. A cursor that storage does not know (too old, of
 * another data volume, or of one that was restored from a copy) is answered as `lost`: the caller then compares
 * everything.
 */
export const FeedCursor = Type.String({ pattern: '^[0-9a-z.-]{1,64}$', maxLength: 64 });

/** Unique per repair of metadata. */
export const RepairId = Type.String({ pattern: '^[0-9a-f]{1,32}$', maxLength: 32 });

export const ContentChange = Type.Union([
  /** Current target of the tag; `null`: no such tag. */
  Type.Object({ repository: Repository, tag: Tag, digest: Type.Union([Digest, Type.Null()]) }),
  /**
   * A referrer of this manifest was added or removed, other ones are left out than before, or a child that this index
   * had left out was added. `EVERY_MANIFEST` (../content/left-out-referrers.ts): the referrers of any manifest.
   */
  Type.Object({ repository: Repository, around: Digest }),
]);
export type ContentChange = Static<typeof ContentChange>;

export const Changes = Type.Object({
  /** After the last one of these. */
  cursor: FeedCursor,
  lost: Type.Boolean(),
  changes: Type.Array(ContentChange, { maxItems: 1000 }),
  /** More changes follow the cursor. */
  more: Type.Boolean(),
  /** The last repair of the metadata here, which may lack entries since. Absent if they were never repaired. */
  repaired: Type.Optional(RepairId),
  /** If requested: whether content that the caller may pull is in transfer to this layer. See content/arriving.ts. */
  arriving: Type.Optional(Type.Boolean()),
  /** Formats of deltas that this layer makes and takes; absent: none. See delta-exchange.ts. */
  deltas: Type.Optional(Type.Array(Type.Integer({ minimum: 1, maximum: 255 }), { maxItems: 8 })),
  /** The caller sent its identity, its presence is recorded, and it is active: it needs no other request for that. */
  known: Type.Optional(Type.Boolean()),
});
export type Changes = Static<typeof Changes>;

/** Changes after `after`; without it, only the current end of the journal. Each tag or manifest is listed once. */
export const listChanges = request(
  'storage.change.list',
  Type.Object({ after: Type.Optional(FeedCursor), limit: Type.Integer({ minimum: 1, maximum: 1000 }) }),
  Changes,
);

/**
 * Stores the cursor in the parent's journal up to which both agree. `scopeHash` identifies the parent and every setting
 * that decides what is pulled from it.
 */
export const storeCursor = request(
  'storage.cursor.keep',
  Type.Object({
    scopeHash: Type.String({ maxLength: 128 }),
    cursor: Type.Union([FeedCursor, Type.Null()]),
    ...Fenced,
  }),
  Type.Object({}),
);

/** `cursor` is absent if none is stored for exactly this `scopeHash`. */
export const getCursor = request(
  'storage.cursor.get',
  Type.Object({ scopeHash: Type.String({ maxLength: 128 }) }),
  Type.Object({ cursor: Type.Optional(FeedCursor) }),
);

/**
 * HTTP path of the change feed, with the parameters `after` and `wait` (seconds). With `arriving=1`, the wait also ends
 * if content is in transfer to the layer; a caller that follows that already omits it. With `child` and `instance`, a
 * layer that keeps such a request open identifies itself.
 */
export const CHANGES_PATH = '/v2/_terrace/changes';
/** Max wait, in seconds: by default, proxies give up on an answer after a minute. */
export const MAX_WAIT_S = 58;
