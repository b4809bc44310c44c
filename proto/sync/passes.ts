import { type Static, Type } from '@sinclair/typebox';
import { event, request } from '../contract/contract.ts';
import { Bytes, Code, Digest, Instant, Party, PassId, Reason, Repository, Tag } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { Direction } from './transfers.ts';

/** One run of reconciliation between parent and layer, and what it did to each tag. */

/**
 * Asks the coordinator for a pass that begins after this request: the one that answers may be waiting behind one
 * that is under way. `full`: it looks at everything again, also at what is known to agree and at what is parked.
 * `now`: it may use the link although the window is closed, until it has ended.
 * Faults: `config-invalid` where the layer has no parent, `window-closed`.
 */
export const startPass = request(
  'syncer.pass.start',
  Type.Object({ full: Type.Optional(Type.Boolean()), now: Type.Optional(Type.Boolean()) }),
  Type.Object({ pass: PassId }),
);

/** What a pass does with one tag. */
export const ActionKind = Type.Union([
  /** The parent's content comes to the layer. */
  Type.Literal('take'),
  /** The layer's content goes to the parent. */
  Type.Literal('push'),
  /** The tag goes from the layer, as it went from the parent. */
  Type.Literal('drop'),
  /** The tag goes from the parent, as it went from the layer. */
  Type.Literal('withdraw'),
  /** Both agree, and did not know it. */
  Type.Literal('agree'),
]);

export const passStarted = event(
  'pass.started',
  Type.Object({ pass: PassId, coordinator: Party, cause: Type.String({ maxLength: 512 }) }),
);

/** The pass has compared both sides: what it is going to do. */
export const passPlanned = event(
  'pass.planned',
  Type.Object({ pass: PassId, repositories: Type.Integer(), tags: Type.Integer(), actions: Type.Integer() }),
);

export const Failure = Type.Object({
  repository: Type.Optional(Repository),
  /** A tag, or the digest of what has none. */
  tag: Type.Optional(Type.String({ maxLength: 135 })),
  code: Code,
  reason: Reason,
});
export type Failure = Static<typeof Failure>;

export const MAX_FAILURES = 20;
/** Of selections, so many are told of. */
export const MAX_PATTERNS = 50;

export const PassResult = Type.Object({
  pass: PassId,
  /** Every action was carried out. */
  ok: Type.Boolean(),
  /** Tags, and manifests without one, that came, went here, went up, and went at the parent. */
  taken: Type.Integer(),
  dropped: Type.Integer(),
  sent: Type.Integer(),
  withdrawn: Type.Integer(),
  failed: Type.Integer(),
  /** Changes that the parent refused, which wait for their time or for `terrace sync --full`. */
  parked: Type.Integer(),
  /** The first of them. */
  failures: Type.Array(Failure, { maxItems: MAX_FAILURES }),
  /** Why the pass ended before its work was done: the window closed, or the configuration changed. */
  ended: Type.Optional(Type.Union([Type.Literal('window'), Type.Literal('configuration')])),
  /** Selections by which nothing was found, where the pass looked at everything; those by which something was, else. */
  unmatched: Type.Optional(Type.Array(RepositoryPattern, { maxItems: MAX_PATTERNS })),
  matched: Type.Optional(Type.Array(RepositoryPattern, { maxItems: MAX_PATTERNS })),
  /** It was ended before the parent had answered anything. */
  unheard: Type.Optional(Type.Boolean()),
  ms: Type.Integer(),
});
export type PassResult = Static<typeof PassResult>;
export const passFinished = event('pass.finished', PassResult);

const OfTag = { pass: PassId, repository: Repository, tag: Type.Union([Tag, Type.Null()]), digest: Digest };

/** An image (or artifact, or index) begins to move; `bytes` may still have to go over the link, in `blobs` blobs. */
export const imageStarted = event(
  'image.started',
  Type.Object({ ...OfTag, direction: Direction, blobs: Type.Integer(), bytes: Bytes }),
);
export const imageFinished = event('image.finished', Type.Object({ ...OfTag, direction: Direction }));

/** Both sides had changed the tag. The loser stays reachable under `loserTag`. */
export const imageConflict = event(
  'image.conflict',
  Type.Object({
    pass: PassId,
    repository: Repository,
    tag: Tag,
    winner: Digest,
    loser: Digest,
    loserTag: Tag,
  }),
);

/** The parent refuses a change of the layer. It is kept, and tried again at `retry`. */
export const imageParked = event(
  'image.parked',
  Type.Object({
    ...OfTag,
    digest: Type.Optional(Digest),
    code: Code,
    reason: Reason,
    retry: Instant,
  }),
);
export const imageFailed = event(
  'image.failed',
  Type.Object({ ...OfTag, digest: Type.Optional(Digest), code: Code, reason: Reason }),
);
