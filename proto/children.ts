import { type Static, Type } from '@sinclair/typebox';
import { request } from './contract.ts';
import { Instant } from './names.ts';

/**
 * Layers below that log in with a sync token: a token of the child's name that may speak for it
 * (`gateway/<child>/…`). One instance of a child is active at a time, that is, one data volume: two of them would each
 * take the other's changes for its own.
 */
export const ChildName = Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$' });
/** Made once for each data volume. */
export const Instance = Type.String({ pattern: '^[a-zA-Z0-9-]{1,64}$' });

export const Active = Type.Object({
  name: ChildName,
  instance: Instance,
  /** When it was activated, and when it last was heard (to the minute). */
  since: Instant,
  seen: Instant,
});
export type Active = Static<typeof Active>;

const Who = Type.Object({ name: ChildName, instance: Instance });

/** Durable when answered; the same instance again is as good as the first time. Faults: `already-activated`. */
export const activateChild = request('storage.child.activate', Who, Active);

/** Whether no other instance of the child is active than this one. */
export const checkChild = request('storage.child.check', Who, Type.Object({ free: Type.Boolean() }));

/** By name; all of them. */
export const listChildren = request(
  'storage.child.list',
  Type.Object({}),
  Type.Object({ children: Type.Array(Active) }),
);

/** Another instance may be activated from now on. `was`: one was active. */
export const deactivateChild = request(
  'storage.child.deactivate',
  Type.Object({ name: ChildName }),
  Type.Object({ was: Type.Boolean() }),
);

/** Of this data volume. */
export const layerInstance = request(
  'storage.instance.get',
  Type.Object({}),
  Type.Object({ instance: Instance }),
);

/** Where a child activates itself, by PUT; needs `gateway/<child>/config/write`. */
export const childPath = (child: string): string => `/v2/_terrace/children/${child}`;
export const Activation = Type.Object({ instance: Instance });

/** The OCI error code, and the words, of the connected registry: existing tools look for them. */
export const ALREADY_ACTIVATED = {
  code: 'ALREADY_ACTIVATED',
  message:
    'Failed to activate the connected registry as it is already activated by another instance. Only one instance is supported at any time.',
} as const;
