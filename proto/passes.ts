import { type Static, Type } from '@sinclair/typebox';
import { event, request } from './contract.ts';
import { Bytes, Digest, Repository, Tag } from './names.ts';

/** One run of reconciliation between parent and layer, and what it did to each tag. */

const PassId = Type.String();

/**
 * Asks the coordinator for a pass that begins after this request: the one that answers may be waiting behind one
 * that is under way. Faults: `config-invalid` where the layer has no parent.
 */
export const startPass = request('syncer.pass.start', Type.Object({}), Type.Object({ pass: PassId }));

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
  Type.Object({ pass: PassId, coordinator: Type.String(), cause: Type.String() }),
);

/** The pass has compared both sides: what it is going to do. */
export const passPlanned = event(
  'pass.planned',
  Type.Object({ pass: PassId, repositories: Type.Integer(), tags: Type.Integer(), actions: Type.Integer() }),
);

export const Failure = Type.Object({
  repository: Type.Optional(Repository),
  tag: Type.Optional(Type.String()),
  code: Type.String(),
  reason: Type.String(),
});
export type Failure = Static<typeof Failure>;

export const PassResult = Type.Object({
  pass: PassId,
  /** Every action was carried out. */
  ok: Type.Boolean(),
  taken: Type.Integer(),
  dropped: Type.Integer(),
  failed: Type.Integer(),
  /** The first of them, at most 20. */
  failures: Type.Array(Failure),
  ms: Type.Integer(),
});
export type PassResult = Static<typeof PassResult>;
export const passFinished = event('pass.finished', PassResult);

const OfTag = { pass: PassId, repository: Repository, tag: Type.Union([Tag, Type.Null()]), digest: Digest };

/** An image (or artifact, or index) begins to come; `bytes` are still to be fetched, in `blobs` blobs. */
export const imageStarted = event(
  'image.started',
  Type.Object({ ...OfTag, blobs: Type.Integer(), bytes: Bytes }),
);
export const imageFinished = event('image.finished', Type.Object(OfTag));
export const imageFailed = event(
  'image.failed',
  Type.Object({ ...OfTag, digest: Type.Optional(Digest), code: Type.String(), reason: Type.String() }),
);
