import { described, event, request } from '../contract/contract.ts';
import { Bytes, Code, Instant, Party, PassId, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Reference, Repository, Tag } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { LeftOutSummary } from './left-out.ts';
import { Direction } from './transfers.ts';

/**
 * Synchronization of a layer with its parent: the messages of passes, transfers and pending changes.
 *
 * A pass is one run of reconciliation. The coordinator begins it by the schedule, after a change, or on request
 * (`startPass`). It reads the changes at the parent, by cursor (changes.ts) or by marks (marks.ts), and the changes of
 * clients here (outgoing.ts), compares both sides with the base of each tag, and plans one action per tag. Blobs cross
 * the link as transfers, which syncers take from a queue (transfers.ts), within the limit of bandwidth (bandwidth.ts).
 * The pass ends with a `PassResult`; changes that the parent refuses are parked and retried.
 */

/** What is tried again: everything, a repository, or one tag or manifest of it. */
export const Retried = Type.Object({
  repository: Type.Optional(Repository),
  reference: Type.Optional(Reference),
});
export type Retried = Static<typeof Retried>;

/**
 * Asks the coordinator for a pass that begins after this request: the pass in the answer may be queued behind a running
 * one. `full`: it compares everything again, including content that is known to agree and parked changes. `now`: it may
 * use the link although the window is closed, until it has ended; not while the link is paused. `retry`: changes that
 * the parent refused are tried again regardless of their time, without comparing everything again; with a repository,
 * only that one is compared, and with a reference only this tag or manifest is carried out.
 * Faults: `config-invalid` if the layer has no parent, `paused`, `window-closed`.
 */
export const startPass = request(
  'syncer.pass.start',
  Type.Object({
    full: Type.Optional(Type.Boolean()),
    now: Type.Optional(Type.Boolean()),
    retry: Type.Optional(Retried),
  }),
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

/** A pass begins. */
export const passStarted = event(
  'pass.started',
  Type.Object({
    pass: PassId,
    coordinator: described(Party, 'Instance of the syncer that runs the pass.'),
    cause: Type.String({ maxLength: 512, description: 'Why it starts.' }),
  }),
);

/** The pass has compared both sides, and has planned its actions. */
export const passPlanned = event(
  'pass.planned',
  Type.Object({
    pass: PassId,
    repositories: Type.Integer({ description: 'Repositories that were compared.' }),
    tags: Type.Integer({ description: 'Tags that were compared.' }),
    actions: Type.Integer({ description: 'Actions that are planned.' }),
  }),
);

export const Failure = Type.Object({
  repository: Type.Optional(Repository),
  tag: Type.Optional(
    Type.String({ maxLength: 135, description: 'A tag, or the digest of a manifest without one.' }),
  ),
  code: Code,
  reason: Reason,
  status: Type.Optional(Type.Integer({ description: 'Status of the answer of the parent, if it sent one.' })),
});
export type Failure = Static<typeof Failure>;

/** Max failures in a result. */
export const MAX_LISTED_FAILURES = 20;
/** Max selections in a result. */
export const MAX_PATTERNS = 50;

export const PassResult = Type.Object({
  pass: PassId,
  ok: Type.Boolean({
    description:
      'Every action was carried out: nothing failed, nothing is parked or left out, and the pass was not ended early.',
  }),
  taken: Type.Integer({ description: 'Tags, and manifests without one, that were pulled.' }),
  dropped: Type.Integer({ description: 'The same, deleted from the layer.' }),
  sent: Type.Integer({ description: 'The same, pushed to the parent.' }),
  withdrawn: Type.Integer({ description: 'The same, deleted from the parent.' }),
  failed: Type.Integer({ description: 'Actions that failed.' }),
  parked: Type.Integer({
    description: 'Changes that the parent refused, which wait for their retry or for `terrace retry`.',
  }),
  failures: Type.Array(Failure, {
    maxItems: MAX_LISTED_FAILURES,
    description: 'The first failures and parked changes.',
  }),
  leftOut: Type.Optional(described(LeftOutSummary, 'What the layer lacks of the images that it has.')),
  ended: Type.Optional(
    Type.Union([Type.Literal('window'), Type.Literal('configuration'), Type.Literal('paused')], {
      description:
        'Why the pass ended before its work was done: the window closed, the configuration changed, or the link was paused.',
    }),
  ),
  unmatched: Type.Optional(
    Type.Array(RepositoryPattern, {
      maxItems: MAX_PATTERNS,
      description:
        'After a pass that compared everything: selections that matched no tag, neither at the parent nor here.',
    }),
  ),
  matched: Type.Optional(
    Type.Array(RepositoryPattern, {
      maxItems: MAX_PATTERNS,
      description: 'After any other pass: selections that matched a tag.',
    }),
  ),
  unanswered: Type.Optional(
    Type.Boolean({ description: 'It was ended before the first answer of the parent.' }),
  ),
  ms: Type.Integer({ description: 'Duration, in ms.' }),
});
export type PassResult = Static<typeof PassResult>;
/** A pass has ended. */
export const passFinished = event('pass.finished', PassResult);

const OfTag = {
  pass: PassId,
  repository: Repository,
  tag: Type.Union([Tag, Type.Null()], { description: 'The tag; null for a manifest without one.' }),
  digest: described(Digest, 'Digest of the manifest.'),
};

/** Max blobs that an event of an image names: they nearly always have nearly all of its bytes. */
export const MAX_NAMED_BLOBS = 50;

/** The transfer of an image (or artifact, or index) begins. */
export const imageStarted = event(
  'image.started',
  Type.Object({
    ...OfTag,
    direction: Direction,
    blobs: Type.Integer({ description: 'Blobs that have to cross the link, at most.' }),
    bytes: described(Bytes, 'Their bytes.'),
    largest: Type.Optional(
      Type.Array(Digest, {
        maxItems: MAX_NAMED_BLOBS,
        description: 'The largest of them, by whose transfers the progress of the image is known.',
      }),
    ),
  }),
);
/** An image (or artifact, or index) is at the far end. */
export const imageFinished = event('image.finished', Type.Object({ ...OfTag, direction: Direction }));

/** Both sides had changed a tag. */
export const imageConflict = event(
  'image.conflict',
  Type.Object({
    pass: PassId,
    repository: Repository,
    tag: Tag,
    winner: described(Digest, 'Manifest that the tag points to.'),
    loser: described(Digest, 'Manifest of the other side.'),
    loserTag: described(Tag, 'Tag under which it stays reachable.'),
  }),
);

/**
 * The parent refuses a change of the layer. The change is stored and retried. If the login may not push to the
 * repository (`denied`), one event stands for all of its changes.
 */
export const imageParked = event(
  'image.parked',
  Type.Object({
    ...OfTag,
    digest: Type.Optional(described(Digest, 'Digest of the manifest; absent for a deletion.')),
    code: Code,
    reason: Reason,
    retry: described(Instant, 'When it is retried, in ms since 1970-01-01 UTC.'),
  }),
);
/** An action of a pass failed; the next pass retries. */
export const imageFailed = event(
  'image.failed',
  Type.Object({ ...OfTag, digest: Type.Optional(OfTag.digest), code: Code, reason: Reason }),
);
