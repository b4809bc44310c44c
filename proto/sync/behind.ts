import { TagOrigin } from '../content/images.ts';
import { Fenced } from '../content/terms.ts';
import { described, request } from '../contract/contract.ts';
import { After, Bytes, Code, Count, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';
import { Ahead, Behind } from './sync-figure.ts';

/**
 * What the layer lacks of its parent, tag by tag: recorded by the pass that found it, deleted in the batch in which
 * parent and layer agree on the tag. So the figure of synchronization is right at any time, also after a kill, and
 * costs nothing while both are equal.
 */

/** A change of the parent that is not here yet. `target`: of the tag at the parent; `null`: it is deleted there. */
export const BehindTag = Type.Object({
  tag: Tag,
  target: Type.Union([Digest, Type.Null()]),
  /** The tag has its target here, whose image lacks platforms or referrers that are selected. */
  incomplete: Type.Optional(Type.Literal(true)),
  /** Bytes still to transfer for it; absent until they are known. */
  bytes: Type.Optional(Bytes),
  /** Why the last attempt failed. */
  code: Type.Optional(Code),
  reason: Type.Optional(Reason),
});
export type BehindTag = Static<typeof BehindTag>;

/** Why a repository could not be compared with the parent: what does not differ as far as is known may differ. */
export const ComparisonFailure = Type.Object({ code: Code, reason: Reason });
export type ComparisonFailure = Static<typeof ComparisonFailure>;

/** `since`: when the first of the comparisons failed that have failed without one that succeeded. */
export const Uncompared = Type.Object(
  { ...ComparisonFailure.properties, since: Instant },
  { description: 'The repository could not be compared since then: what differs in it is not counted.' },
);
export type Uncompared = Static<typeof Uncompared>;

/** Max tags per request. */
export const MAX_BEHIND = 500;

/**
 * Records tags of a repository. One that has its target already is not recorded, unless it is incomplete; an incomplete
 * one only if it has. `since` stays that of the first record with the same target. `complete`: the images of these tags
 * lack nothing any more. `replace`: all other records of the repository whose tags are in this range are deleted, those
 * of incomplete images only with `incomplete`; both ends are optional, `after` is exclusive. `uncompared`: the
 * repository could not be compared; null: it was, or is not exchanged any more.
 */
export const recordBehind = request(
  'storage.behind.record',
  Type.Object({
    repository: Repository,
    put: Type.Array(BehindTag, { maxItems: MAX_BEHIND }),
    drop: Type.Array(Tag, { maxItems: MAX_BEHIND }),
    complete: Type.Optional(Type.Array(Type.Object({ tag: Tag, target: Digest }), { maxItems: MAX_BEHIND })),
    replace: Type.Optional(
      Type.Object({
        after: Type.Optional(Tag),
        until: Type.Optional(Tag),
        incomplete: Type.Optional(Type.Literal(true)),
      }),
    ),
    uncompared: Type.Optional(Type.Union([ComparisonFailure, Type.Null()])),
    ...Fenced,
  }),
  Type.Object({}),
);

const limit = Type.Integer({ minimum: 1, maximum: 1_000 });

/** Repositories with such records, sorted. `uncompared`: those of them that could not be compared. */
export const listBehind = request(
  'storage.behind.list',
  Type.Object({ after: Type.Optional(Repository), limit }),
  Type.Object({
    repositories: Type.Array(Repository, { maxItems: 1_000 }),
    uncompared: Type.Optional(Type.Array(Repository, { maxItems: 1_000 })),
    more: Type.Boolean(),
  }),
);

/** Figures of one repository. `covered`: a selection covers it, so it is exchanged with the parent. */
export const RepositoryFigures = Type.Object({
  repository: Repository,
  covered: Type.Boolean(),
  tags: described(Count, 'Tags in this layer.'),
  conflicts: described(Count, 'Tags that hold the loser of a conflict.'),
  behind: Behind,
  ahead: Ahead,
  uncompared: Type.Optional(Uncompared),
  bytes: Type.Optional(
    described(Bytes, 'If requested: bytes of its manifests and blobs. Other repositories may share them.'),
  ),
  changed: Type.Optional(
    described(Instant, 'If requested: when a tag here last moved; absent if that is not recorded.'),
  ),
});
export type RepositoryFigures = Static<typeof RepositoryFigures>;

/**
 * Repositories of the layer, and those that only the parent has yet, sorted by name. `only`: those that are behind, or
 * that have changes for the parent. `match`: those whose names contain it; a request examines a bounded number of them,
 * and `searched` is the last one. `repository`: this one alone, if it is known. `contents`: with `bytes` and `changed`,
 * for which all names of each repository are read.
 */
export const syncRepositories = request(
  'storage.sync.repositories',
  Type.Object({
    after: Type.Optional(Repository),
    limit: Type.Integer({ minimum: 1, maximum: 200 }),
    only: Type.Optional(Type.Union([Type.Literal('behind'), Type.Literal('ahead')])),
    match: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    repository: Type.Optional(Repository),
    contents: Type.Optional(Type.Boolean()),
  }),
  Type.Object({
    repositories: Type.Array(RepositoryFigures, { maxItems: 200 }),
    more: Type.Boolean(),
    searched: Type.Optional(Repository),
  }),
);

/** A tag, here or at the parent. `base`: its target when both last agreed. `origin`: of its target here. */
export const TagFigures = Type.Object({
  tag: Tag,
  digest: Type.Optional(Digest),
  base: Type.Optional(Digest),
  origin: Type.Optional(TagOrigin),
  /** If the layer is behind: as in `BehindTag`, and since when that is known. */
  behind: Type.Optional(
    Type.Object({
      target: BehindTag.properties.target,
      since: Instant,
      bytes: BehindTag.properties.bytes,
      code: BehindTag.properties.code,
      reason: BehindTag.properties.reason,
    }),
  ),
  /** The parent refused the change of the tag. */
  parked: Type.Optional(
    Type.Object({ code: Code, reason: Reason, since: Instant, attempts: Count, retry: Instant }),
  ),
});
export type TagFigures = Static<typeof TagFigures>;

/**
 * Tags of one repository, sorted by name. `differing`: only those that are not equal on both sides. `tag`: this one
 * alone, if it is known.
 */
export const syncTags = request(
  'storage.sync.tags',
  Type.Object({
    repository: Repository,
    after: Type.Optional(After),
    limit,
    differing: Type.Optional(Type.Boolean()),
    tag: Type.Optional(Tag),
  }),
  Type.Object({
    covered: Type.Boolean(),
    /** The repository could not be compared. */
    uncompared: Type.Optional(Type.Literal(true)),
    tags: Type.Array(TagFigures, { maxItems: 1_000 }),
    more: Type.Boolean(),
  }),
);
