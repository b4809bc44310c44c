import { request } from '../contract/contract.ts';
import { After, Bytes, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/**
 * Children: layers below that log in with a token of their own name, and the instance of each that may synchronize. An
 * instance is one data volume, identified by a random id from its first start. The first instance that asks is active
 * until `deactivateChild`.
 */
export const ChildName = Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63 });
/** RFC 9562, in lower case. */
export const InstanceId = Type.String({
  pattern: '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
  maxLength: 36,
});

/**
 * One start of a layer. It distinguishes the layer from a copy of its data volume, which is the same instance. `at` is
 * by the layer's own clock.
 */
export const StartId = Type.String({ pattern: '^[0-9a-f]{32}$', maxLength: 32 });
export const MAX_STARTS = 16;
export const Start = Type.Object({
  id: StartId,
  at: Instant,
  /** Earlier starts, latest first. */
  before: Type.Array(StartId, { maxItems: MAX_STARTS }),
  /**
   * How many of `before`, from the first, have certainly ended: since them, the volume has been in the same place and
   * the machine has not restarted.
   */
  ended: Type.Integer({ minimum: 0, maximum: MAX_STARTS }),
});
export type Start = Static<typeof Start>;

/** Identity of a layer that asks to be active as a child. Layers of earlier versions do not send their start. */
export const LayerIdentity = Type.Object({ instance: InstanceId, start: Type.Optional(Start) });
export type LayerIdentity = Static<typeof LayerIdentity>;

/** Client address of a request, as seen by the gateway. */
export const Address = Type.String({ pattern: '^[0-9A-Za-z.:%-]{1,80}$', maxLength: 80 });

/** Message of the connected registry, which existing tools search for. */
export const ALREADY_ACTIVATED =
  'Failed to activate the connected registry as it is already activated by another instance. Only one instance is supported at any time.';

export const Child = Type.Object({
  name: ChildName,
  instance: InstanceId,
  /** When this instance was activated. */
  since: Instant,
  /** When it was last seen, or up to a minute before that. */
  seen: Instant,
  /** When it was started, by its own clock. */
  started: Type.Optional(Instant),
  /** Address of its last request. */
  address: Type.Optional(Address),
});
export type Child = Static<typeof Child>;

/** Facts that distinguish two layers that both want to be active, in the detail of `already-activated`. */
export const ActivationConflict = Type.Object({
  since: Type.Optional(Instant),
  instance: Type.Optional(InstanceId),
  started: Type.Optional(Instant),
  address: Type.Optional(Address),
  seen: Type.Optional(Instant),
  /** Address of the layer that is refused. */
  from: Type.Optional(Address),
  /** Both are one instance: one of them is a copy of the other's data volume. */
  copy: Type.Optional(Type.Boolean()),
  /** Time after which it is known whether the other one has ended, in seconds. */
  retryAfter: Type.Optional(Type.Integer({ minimum: 1 })),
});
export type ActivationConflict = Static<typeof ActivationConflict>;

/**
 * `made`: no instance was active before. Of several instances that ask at once, one becomes active.
 * Faults: `already-activated` (another instance is, or another start of this one; an `ActivationConflict` in the
 * detail).
 */
export const activateChild = request(
  'storage.child.activate',
  Type.Object({ name: ChildName, ...LayerIdentity.properties, address: Type.Optional(Address) }),
  Type.Object({ made: Type.Boolean(), since: Instant }),
);

/**
 * `free`: no instance of the child is active, or only this one, in this start (if its start is recorded). Without
 * `instance`: none is active.
 */
export const checkChild = request(
  'storage.child.check',
  Type.Object({
    name: ChildName,
    instance: Type.Optional(InstanceId),
    start: Type.Optional(StartId),
  }),
  Type.Object({ free: Type.Boolean() }),
);

/** Which of these have an account that may report for them. `open`: the layer has no account at all. */
export const childAccounts = request(
  'storage.child.accounts',
  Type.Object({ names: Type.Array(ChildName, { maxItems: 500 }) }),
  Type.Object({ names: Type.Array(ChildName, { maxItems: 500 }), open: Type.Boolean() }),
);

/**
 * Sent before a report of a child is parsed, with its size. Faults: `too-many`, with the seconds to wait as
 * `detail.retryAfter`: the child sends more than its share.
 */
export const chargeChild = request(
  'storage.child.charge',
  Type.Object({ child: ChildName, bytes: Bytes }),
  Type.Object({}),
);

/**
 * Sent before events of a child are stored, with their size, of which `charged` bytes are charged already. Faults:
 * `too-many`, with the seconds to wait as `detail.retryAfter`: the child sends more than its share, or room is being
 * made.
 */
export const askRoom = request(
  'storage.child.room',
  Type.Object({ child: ChildName, bytes: Bytes, charged: Type.Optional(Bytes) }),
  Type.Object({}),
);

/** Active children, in bytewise order. */
export const listChildren = request(
  'storage.child.list',
  Type.Object({ after: Type.Optional(After), limit: Type.Integer({ minimum: 1, maximum: 500 }) }),
  Type.Object({ children: Type.Array(Child, { maxItems: 500 }), more: Type.Boolean() }),
);

/** The next instance that asks becomes active. `previous` is absent if none was active. */
export const deactivateChild = request(
  'storage.child.deactivate',
  Type.Object({ name: ChildName }),
  Type.Object({ previous: Type.Optional(Child) }),
);

/** Identity of this layer for its parent. The instance is constant for a data volume; `start` is the current one. */
export const layerInstance = request('storage.layer.instance', Type.Object({}), LayerIdentity);

/**
 * HTTP path where a child activates itself: PUT of an `Activation`, answered with an `Activated` (201 new, 200 as
 * before).
 */
/** Header of requests below `/v2/_terrace/`: `host:port` by which a child knows its parent. */
export const PARENT_NAME_HEADER = 'terrace-parent';

export const childPath = (child: string): string => `/v2/_terrace/children/${child}`;
export const Activation = Type.Object(LayerIdentity.properties, { additionalProperties: false });
export const Activated = Type.Object({ child: ChildName, instance: InstanceId, since: Instant });
export type Activated = Static<typeof Activated>;
