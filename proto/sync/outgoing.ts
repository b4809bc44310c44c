import { type Static, Type } from '@sinclair/typebox';
import { Fenced } from '../content/terms.ts';
import { request } from '../contract/contract.ts';
import { After, Code, Digest, Instant, Reason, Repository, Tag } from '../oci/names.ts';
import { RepairId } from './changes.ts';

/**
 * What clients of the layer changed and the parent has not been told yet. A manifest that is put here is unsent from
 * that moment, in the same batch, until parent and layer agree on it; one that both had and that is deleted here is to
 * be withdrawn. Tags need no record: their base tells. All of it outlives restarts, and any length of an outage.
 */
const page = { after: Type.Optional(After), limit: Type.Integer({ minimum: 1, maximum: 1000 }) };

/**
 * `since`: when a client did it; of two in one repository the earlier has the smaller one. `found`: nobody knows
 * whether a client put it; the parent may have it.
 */
const Pending = Type.Object({
  repository: Repository,
  digest: Digest,
  since: Instant,
  found: Type.Optional(Type.Literal(true)),
});
export type Pending = Static<typeof Pending>;
const pendingPage = Type.Object({ manifests: Type.Array(Pending, { maxItems: 1000 }), more: Type.Boolean() });

/** By repository, then digest; `after` is `<repository>!<digest>`. */
export const listUnsent = request('storage.outgoing.unsent', Type.Object(page), pendingPage);
export const listWithdrawn = request('storage.outgoing.withdrawn', Type.Object(page), pendingPage);

/**
 * The parent has been told of these, or need not be: they are neither unsent nor to be withdrawn any more. `until` is
 * the latest `since` that the caller saw: what clients did later, while the parent was being told, is still to be told.
 * `sent`: the parent has them, so one that a client deleted meanwhile is to be withdrawn.
 */
export const settleOutgoing = request(
  'storage.outgoing.settle',
  Type.Object({
    repository: Repository,
    digests: Type.Array(Digest, { maxItems: 1000 }),
    until: Type.Optional(Instant),
    sent: Type.Optional(Type.Boolean()),
    ...Fenced,
  }),
  Type.Object({}),
);

/**
 * Says which registry (`host:port`) a pass is made with. Where that is another one than before, and `forget` is said,
 * as it is in a ReadWrite layer, nothing is agreed on with it: bases go, every manifest is unsent, and what was parked
 * or to be withdrawn is so no more. `repaired` is what a Terrace last said of repairs of its metadata (`''`: that there was
 * none), absent where it has not been asked: after another repair it may lack what it had, which is no deletion, so nothing
 * is agreed on with it either, whatever the mode.
 */
export const recordParent = request(
  'storage.outgoing.parent',
  Type.Object({
    parent: Type.String({ minLength: 1, maxLength: 512 }),
    forget: Type.Boolean(),
    repaired: Type.Optional(Type.Union([RepairId, Type.Literal('')])),
    ...Fenced,
  }),
  Type.Object({ forgotten: Type.Boolean() }),
);

/** A change that the parent refused: of a tag, or of a manifest without one. `digest` is absent for a deletion. */
export const Parked = Type.Object({
  repository: Repository,
  /** A tag, or the digest of a manifest that has none. */
  reference: Type.Union([Tag, Digest]),
  digest: Type.Optional(Digest),
  code: Code,
  reason: Reason,
  since: Instant,
  /** Refusals so far. */
  attempts: Type.Integer({ minimum: 1 }),
  /** When it is tried again. */
  retry: Instant,
});
export type Parked = Static<typeof Parked>;

/** One for each repository and reference: a later one takes its place. */
export const park = request(
  'storage.outgoing.park',
  Type.Object({ ...Parked.properties, ...Fenced }),
  Type.Object({}),
);
export const unpark = request(
  'storage.outgoing.unpark',
  Type.Object({ repository: Repository, reference: Type.Union([Tag, Digest]), ...Fenced }),
  Type.Object({}),
);
/** By repository, then reference; `after` is `<repository>!<reference>`. */
export const listParked = request(
  'storage.outgoing.parked',
  Type.Object(page),
  Type.Object({ parked: Type.Array(Parked, { maxItems: 1000 }), more: Type.Boolean() }),
);

/** An upload session that the parent opened for a blob, so that whoever goes on with it finds it. */
const Session = { repository: Repository, digest: Digest };
export const keepSession = request(
  'storage.session.keep',
  Type.Object({ ...Session, location: Type.String({ maxLength: 8192 }) }),
  Type.Object({}),
);
export const getSession = request(
  'storage.session.get',
  Type.Object(Session),
  Type.Object({ location: Type.Optional(Type.String({ maxLength: 8192 })) }),
);
export const dropSession = request('storage.session.drop', Type.Object(Session), Type.Object({}));
