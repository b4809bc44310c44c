import { type Static, Type } from '@sinclair/typebox';
import { event, request, state } from './contract.ts';
import { Bytes, Instant } from './names.ts';

/** What a layer says of itself, as states that end by themselves when nobody renews them. */

/** Written by every service process, each `HEARTBEAT_MS`. Key: the instance. */
export const HEARTBEAT_MS = 5_000;
export const ServiceStatus = Type.Object({
  service: Type.String(),
  instance: Type.String(),
  host: Type.String(),
  pid: Type.Integer(),
  started: Instant,
  /** Resident memory. */
  memory: Bytes,
});
export type ServiceStatus = Static<typeof ServiceStatus>;
export const serviceStatus = state('services', ServiceStatus);

/**
 * The link to the parent. Written by the coordinator. Key: `parent`.
 * Online: the last pass was good. Syncing: a pass is under way. Offline: the parent does not answer.
 * Unhealthy: it answers, but the last pass left something undone; `detail` says what.
 */
export const LinkStatus = Type.Object({
  state: Type.Union([
    Type.Literal('Online'),
    Type.Literal('Offline'),
    Type.Literal('Syncing'),
    Type.Literal('Unhealthy'),
  ]),
  since: Instant,
  /** When the last good pass ended. */
  lastSync: Type.Optional(Instant),
  detail: Type.Optional(Type.String()),
  coordinator: Type.String(),
  /** Where there is a window: whether it is open, and when that changes. */
  window: Type.Optional(Type.Object({ open: Type.Boolean(), until: Instant })),
  /** When the schedule begins the next pass. */
  next: Type.Optional(Instant),
});
export type LinkStatus = Static<typeof LinkStatus>;
export const linkStatus = state('link', LinkStatus);
export const LINK_KEY = 'parent';

export const linkChanged = event(
  'link.changed',
  Type.Object({
    from: Type.Optional(LinkStatus.properties.state),
    state: LinkStatus.properties.state,
    detail: Type.Optional(Type.String()),
  }),
);

/** Which instance makes the passes. Key: `coordinator`. It ends `LEASE_MS` after its last renewal. */
export const Lease = Type.Object({ holder: Type.String() });
export const lease = state('leases', Lease);
export const COORDINATOR_KEY = 'coordinator';
export const LEASE_MS = 6_000;

/** What the configuration bridge last found: an invalid document changes nothing and is reported here. */
export const BridgeStatus = Type.Object({
  source: Type.String(),
  /** One sentence per complaint, each naming its field; empty when the document is in force. */
  complaints: Type.Array(Type.String()),
});
export const bridgeStatus = request('twin-bridge.status.get', Type.Object({}), BridgeStatus);
