import { type Static, Type } from '@sinclair/typebox';
import { request } from './contract.ts';
import { After, Instant } from './names.ts';

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
});
export type Child = Static<typeof Child>;

/**
 * `made`: nobody was activated before. Of several that ask at once, one is.
 * Faults: `already-activated` (another instance is; `since` in the detail).
 */
export const activateChild = request(
  'storage.child.activate',
  Type.Object({ name: ChildName, instance: InstanceId }),
  Type.Object({ made: Type.Boolean(), since: Instant }),
);

/** Whether no other instance of the child is active than this one; than none, where it names none. */
export const checkChild = request(
  'storage.child.check',
  Type.Object({ name: ChildName, instance: Type.Optional(InstanceId) }),
  Type.Object({ free: Type.Boolean() }),
);

/** Which of these have an account that may report for them. `open`: there is no account at all. */
export const childAccounts = request(
  'storage.child.accounts',
  Type.Object({ names: Type.Array(ChildName, { maxItems: 500 }) }),
  Type.Object({ names: Type.Array(ChildName, { maxItems: 500 }), open: Type.Boolean() }),
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

/** Which instance this layer is, for the one above: the same for as long as its data volume. */
export const layerInstance = request(
  'storage.layer.instance',
  Type.Object({}),
  Type.Object({ instance: InstanceId }),
);

/** Where a child activates itself over HTTP: PUT of an `Activation`, answered with an `Activated` (201 new, 200 as before). */
export const childPath = (child: string): string => `/v2/_terrace/children/${child}`;
export const Activation = Type.Object({ instance: InstanceId }, { additionalProperties: false });
export const Activated = Type.Object({ child: ChildName, instance: InstanceId, since: Instant });
export type Activated = Static<typeof Activated>;
