import { KnownTag, TagTarget } from '../content/manifests.ts';
import { Fenced } from '../content/terms.ts';
import { request } from '../contract/contract.ts';
import { After, Code, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Traceparent } from '../contract/traceparent.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';
import { Renames } from '../oci/repository-names.ts';
import { RepairId } from './changes.ts';

/**
 * Changes by clients of the layer that are not pushed to the parent yet. A manifest that is put here is unsent from
 * that moment, in the same batch, until parent and layer agree on it; one that both had and that is deleted here is to
 * be withdrawn. Tags need no such record: they are compared with their base, and with what was sent of them. All of it
 * survives restarts, and an outage of any length.
 */
const page = { after: Type.Optional(After), limit: Type.Integer({ minimum: 1, maximum: 1000 }) };

/**
 * `since`: when a client made the change; of two in one repository, the earlier has the smaller one. `unknownOrigin`:
 * it is unknown whether a client put it; the parent may have it. `traceparent`, where traces are on: the request that
 * put it.
 */
const Pending = Type.Object({
  repository: Repository,
  digest: Digest,
  since: Instant,
  unknownOrigin: Type.Optional(Type.Literal(true)),
  traceparent: Type.Optional(Traceparent),
});
export type Pending = Static<typeof Pending>;
const pendingPage = Type.Object({ manifests: Type.Array(Pending, { maxItems: 1000 }), more: Type.Boolean() });

/** By repository, then digest; `after` is `<repository>!<digest>`. */
export const listUnsent = request('storage.outgoing.unsent', Type.Object(page), pendingPage);
export const listWithdrawn = request('storage.outgoing.withdrawn', Type.Object(page), pendingPage);

/**
 * Before a pass sends manifests, or moves or deletes a tag at the parent: from then on, the parent may have them,
 * whether or not its answer arrives. `base` is the target that the parent is known to have had last, `digest` the one
 * that it gets (`null`: none); it is on record until a base of the tag is set. Faults: `manifest-unknown` if a client
 * has deleted one of the manifests; `conflict` if the tag is not as `known` any more.
 */
export const beginSending = request(
  'storage.outgoing.begin',
  Type.Object({
    repository: Repository,
    digests: Type.Array(Digest, { maxItems: 1000 }),
    move: Type.Optional(Type.Object({ tag: Tag, base: TagTarget, digest: TagTarget, known: KnownTag })),
    ...Fenced,
  }),
  Type.Object({}),
);

/** Target that a pass gave a tag at the parent, or was about to. */
export const SendingTag = Type.Object({ repository: Repository, tag: Tag, digest: TagTarget });
export type SendingTag = Static<typeof SendingTag>;

/** By repository, then tag; `after` is `<repository>!<tag>`. */
export const listSending = request(
  'storage.outgoing.sending',
  Type.Object(page),
  Type.Object({ tags: Type.Array(SendingTag, { maxItems: 1000 }), more: Type.Boolean() }),
);

/** The parent has other targets, or refused these changes. A record that names another target by now stays. */
export const dropSending = request(
  'storage.outgoing.drop',
  Type.Object({ tags: Type.Array(SendingTag, { maxItems: 1000 }), ...Fenced }),
  Type.Object({}),
);

/**
 * The parent has these changes, or does not need them: the manifests are neither unsent nor to be withdrawn any more.
 * `until` is the latest `since` that the caller saw: changes that clients made later, during the push, are still
 * pending. `sent`: the parent has the manifests, so one that a client deleted meanwhile is to be withdrawn.
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
 * Records which registry (`host:port`, and the path of its address) a pass is made with. If it is another one than
 * before, and `forget` is set, as it is in a ReadWrite layer, nothing is agreed on with it: bases are deleted, every
 * manifest is unsent, and nothing is parked or to be withdrawn any more. `repaired` is the last repair of its metadata
 * that a Terrace reported (`''`: none); absent if it has not been asked. After another repair, the parent may lack
 * content that it had, which is not a deletion, so nothing is agreed on with it either, in any mode. `renames` says
 * which repository of the parent each one here is: with `forget`, the same holds for each for which that is another
 * one.
 */
export const recordParent = request(
  'storage.outgoing.parent',
  Type.Object({
    parent: Type.String({ minLength: 1, maxLength: 512 }),
    forget: Type.Boolean(),
    repaired: Type.Optional(Type.Union([RepairId, Type.Literal('')])),
    renames: Type.Optional(Renames),
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
  /** When it is retried. */
  retry: Instant,
});
export type Parked = Static<typeof Parked>;

/** One per repository and reference: a later one replaces it. */
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

/**
 * An upload session that the parent opened for a blob, stored so that any syncer can resume it. `offset`: number of
 * bytes that the parent took, by its last answer; it may have received more since.
 */
const Session = { repository: Repository, digest: Digest };
const sessionPlace = {
  location: Type.String({ maxLength: 8192 }),
  offset: Type.Optional(Type.Integer({ minimum: 0 })),
};
export const storeSession = request(
  'storage.session.keep',
  Type.Object({ ...Session, ...sessionPlace }),
  Type.Object({}),
);
export const getSession = request(
  'storage.session.get',
  Type.Object(Session),
  Type.Object({ ...sessionPlace, location: Type.Optional(sessionPlace.location) }),
);
export const dropSession = request('storage.session.drop', Type.Object(Session), Type.Object({}));
