import { type Static, Type } from '@sinclair/typebox';
import { request } from '../contract/contract.ts';
import { After, Bytes, Instant } from '../oci/names.ts';

/**
 * The layers below that log in with a token of their own name, and which instance of each may synchronise: one data
 * volume, known by the random id that it got at its first start. The first that asks has the place until somebody
 * takes it from it with `deactivateChild`.
 */
export const ChildName = Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63 });
/** RFC 9562, in lower case. */
export const InstanceId = Type.String({
  pattern: '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
  maxLength: 36,
});

/**
 * One start of a layer, so that a copy of its data volume is told from it: both are the same instance. `at` by its own
 * clock.
 */
export const StartId = Type.String({ pattern: '^[0-9a-f]{32}$', maxLength: 32 });
export const MAX_STARTS = 16;
export const Start = Type.Object({
  id: StartId,
  at: Instant,
  /** The starts before it, the last one first. */
  before: Type.Array(StartId, { maxItems: MAX_STARTS }),
  /** So many of them have ended for sure: the volume lay where it lies now, and the machine has run ever since. */
  ended: Type.Integer({ minimum: 0, maximum: MAX_STARTS }),
});
export type Start = Static<typeof Start>;

/** Who asks for the place of a child. A layer of an earlier version says nothing of its start. */
export const LayerIdentity = Type.Object({ instance: InstanceId, start: Type.Optional(Start) });
export type LayerIdentity = Static<typeof LayerIdentity>;

/** Where a request came from, as the gateway sees it. */
export const Address = Type.String({ pattern: '^[0-9A-Za-z.:%-]{1,80}$', maxLength: 80 });

/** The words of the connected registry, which existing tools look for. */
export const ALREADY_ACTIVATED =
  'Failed to activate the connected registry as it is already activated by another instance. Only one instance is supported at any time.';

export const Child = Type.Object({
  name: ChildName,
  instance: InstanceId,
  /** When this instance was activated. */
  since: Instant,
  /** When it was last heard of, or up to a minute before that. */
  seen: Instant,
  /** When it was started, by its own clock, and where it was last heard from. */
  started: Type.Optional(Instant),
  address: Type.Optional(Address),
});
export type Child = Static<typeof Child>;

/** What tells two layers apart that both want the place, in the detail of `already-activated`. */
export const Conflict = Type.Object({
  since: Type.Optional(Instant),
  instance: Type.Optional(InstanceId),
  started: Type.Optional(Instant),
  address: Type.Optional(Address),
  seen: Type.Optional(Instant),
  /** Where the one that is refused called from. */
  from: Type.Optional(Address),
  /** Both are one instance: one of them is a copy of the other's data volume. */
  copy: Type.Optional(Type.Boolean()),
  /** Whether the other one has ended is known after so long, in seconds. */
  retryAfter: Type.Optional(Type.Integer({ minimum: 1 })),
});
export type Conflict = Static<typeof Conflict>;

/**
 * `made`: nobody was activated before. Of several that ask at once, one is.
 * Faults: `already-activated` (another instance is, or another start of this one; a `Conflict` in the detail).
 */
export const activateChild = request(
  'storage.child.activate',
  Type.Object({ name: ChildName, ...LayerIdentity.properties, address: Type.Optional(Address) }),
  Type.Object({ made: Type.Boolean(), since: Instant }),
);

/** Whether no other instance of the child is active than this one; than none, where it names none. */
export const checkChild = request(
  'storage.child.check',
  Type.Object({
    name: ChildName,
    instance: Type.Optional(InstanceId),
    start: Type.Optional(StartId),
  }),
  Type.Object({ free: Type.Boolean() }),
);

/** Which of these have an account that may report for them. `open`: there is no account at all. */
export const childAccounts = request(
  'storage.child.accounts',
  Type.Object({ names: Type.Array(ChildName, { maxItems: 500 }) }),
  Type.Object({ names: Type.Array(ChildName, { maxItems: 500 }), open: Type.Boolean() }),
);

/**
 * Asked before a report of a child is read, so many bytes of it. Faults: `too-many`, with the seconds to wait as
 * `detail.retryAfter`: it tells more than its share.
 */
export const chargeChild = request(
  'storage.child.charge',
  Type.Object({ child: ChildName, bytes: Bytes }),
  Type.Object({}),
);

/**
 * Asked before events of a child are stored, so many bytes of them, of which `charged` are charged already. Faults:
 * `too-many`, with the seconds to wait as `detail.retryAfter`: it tells more than its share, or room is being made.
 */
export const askRoom = request(
  'storage.child.room',
  Type.Object({ child: ChildName, bytes: Bytes, charged: Type.Optional(Bytes) }),
  Type.Object({}),
);

/** Those that are activated, in bytewise order. */
export const listChildren = request(
  'storage.child.list',
  Type.Object({ after: Type.Optional(After), limit: Type.Integer({ minimum: 1, maximum: 500 }) }),
  Type.Object({ children: Type.Array(Child, { maxItems: 500 }), more: Type.Boolean() }),
);

/** The next instance that asks is activated. `was` is absent where none was. */
export const deactivateChild = request(
  'storage.child.deactivate',
  Type.Object({ name: ChildName }),
  Type.Object({ was: Type.Optional(Child) }),
);

/** Which instance this layer is, for the one above: the same for as long as its data volume; and which start of it. */
export const layerInstance = request('storage.layer.instance', Type.Object({}), LayerIdentity);

/** Where a child activates itself over HTTP: PUT of an `Activation`, answered with an `Activated` (201 new, 200 as before). */
export const childPath = (child: string): string => `/v2/_terrace/children/${child}`;
export const Activation = Type.Object(LayerIdentity.properties, { additionalProperties: false });
export const Activated = Type.Object({ child: ChildName, instance: InstanceId, since: Instant });
export type Activated = Static<typeof Activated>;
