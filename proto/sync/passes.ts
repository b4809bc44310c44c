import { type Static, Type } from '@sinclair/typebox';
import { event, request } from '../contract/contract.ts';
import { Bytes, Code, Digest, Instant, Party, PassId, Reason, Repository, Tag } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { Direction } from './transfers.ts';

/**
 * Synchronisation of a layer with its parent: the messages of passes, transfers and pending changes.
 *
 * A pass is one run of reconciliation. The coordinator begins it by the schedule, after a change, or on request
 * (`startPass`). It reads the changes at the parent, by cursor (changes.ts) or by marks (marks.ts), and the changes of
 * clients here (outgoing.ts), compares both sides with the base of each tag, and plans one action per tag. Blobs cross
 * the link as transfers, which syncers take from a queue (transfers.ts), within the limit of bandwidth (bandwidth.ts).
 * The pass ends with a `PassResult`; changes that the parent refuses are parked and retried.
 */

/**
 * Asks the coordinator for a pass that begins after this request: the pass in the answer may be queued behind a running
 * one. `full`: it compares everything again, including content that is known to agree and parked changes. `now`: it may
 * use the link although the window is closed, until it has ended.
 * Faults: `config-invalid` if the layer has no parent, `window-closed`.
 */
export const startPass = request(
  'syncer.pass.start',
  Type.Object({ full: Type.Optional(Type.Boolean()), now: Type.Optional(Type.Boolean()) }),
  Type.Object({ pass: PassId }),
);

/** Action of a pass for one tag. */
export const ActionKind = Type.Union([
  /** The parent's content is pulled into the layer. */
  Type.Literal('take'),
  /** The layer's content is pushed to the parent. */
  Type.Literal('push'),
  /** The tag is deleted from the layer, as it was from the parent. */
  Type.Literal('drop'),
  /** The tag is deleted from the parent, as it was from the layer. */
  Type.Literal('withdraw'),
  /** Both agree already; only the base is recorded. */
  Type.Literal('agree'),
]);

export const passStarted = event(
  'pass.started',
  Type.Object({ pass: PassId, coordinator: Party, cause: Type.String({ maxLength: 512 }) }),
);

/** The pass has compared both sides, and has planned its actions. */
export const passPlanned = event(
  'pass.planned',
  Type.Object({ pass: PassId, repositories: Type.Integer(), tags: Type.Integer(), actions: Type.Integer() }),
);

export const Failure = Type.Object({
  repository: Type.Optional(Repository),
  /** A tag, or the digest of a manifest without one. */
  tag: Type.Optional(Type.String({ maxLength: 135 })),
  code: Code,
  reason: Reason,
});
export type Failure = Static<typeof Failure>;

/** Max failures in a result. */
export const MAX_FAILURES = 20;
/** Max selections in a result. */
export const MAX_PATTERNS = 50;

export const PassResult = Type.Object({
  pass: PassId,
  /** Every action was carried out: nothing failed, nothing is parked, and the pass was not ended early. */
  ok: Type.Boolean(),
  /** Tags, and manifests without one, that were pulled, deleted here, pushed, and deleted at the parent. */
  taken: Type.Integer(),
  dropped: Type.Integer(),
  sent: Type.Integer(),
  withdrawn: Type.Integer(),
  failed: Type.Integer(),
  /** Changes that the parent refused, which wait for their retry or for `terrace sync --full`. */
  parked: Type.Integer(),
  /** The first failures and parked changes. */
  failures: Type.Array(Failure, { maxItems: MAX_FAILURES }),
  /** Why the pass ended before its work was done: the window closed, or the configuration changed. */
  ended: Type.Optional(Type.Union([Type.Literal('window'), Type.Literal('configuration')])),
  /** After a pass that compared everything: selections that matched no tag, neither at the parent nor here. */
  unmatched: Type.Optional(Type.Array(RepositoryPattern, { maxItems: MAX_PATTERNS })),
  /** After any other pass: selections that matched a tag. */
  matched: Type.Optional(Type.Array(RepositoryPattern, { maxItems: MAX_PATTERNS })),
  /** It was ended before the first answer of the parent. */
  unanswered: Type.Optional(Type.Boolean()),
  ms: Type.Integer(),
});
export type PassResult = Static<typeof PassResult>;
export const passFinished = event('pass.finished', PassResult);

const OfTag = { pass: PassId, repository: Repository, tag: Type.Union([Tag, Type.Null()]), digest: Digest };

/** The transfer of an image (or artifact, or index) begins; up to `bytes` have to cross the link, in `blobs` blobs. */
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

/** The parent refuses a change of the layer. The change is stored, and retried at `retry`. */
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
