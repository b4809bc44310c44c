import { type Static, Type } from '@sinclair/typebox';
import { event, request, state } from '../contract/contract.ts';
import type { ServiceName } from '../contract/users.ts';
import { MAX_COMPLAINTS } from '../document/complaints.ts';
import { Bytes, Count, Digest, FilePath, Instant, Party, Reason, Repository } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { Direction } from '../sync/transfers.ts';

/** What a layer says of itself, as states that end by themselves when nobody renews them. */

/** Written by every service process, each `HEARTBEAT_MS`. Key: the instance. */
export const HEARTBEAT_MS = 15_000;
export const ServiceStatus = Type.Object({
  service: Type.String({ maxLength: 64 }),
  instance: Party,
  host: Party,
  pid: Type.Integer(),
  started: Instant,
  /** Resident memory. */
  memory: Bytes,
});
export type ServiceStatus = Static<typeof ServiceStatus>;
export const serviceStatus = state('services', ServiceStatus);

const aliveOf = (service: ServiceName) => request(`${service}.alive.get`, Type.Object({}), ServiceStatus);
/** One process of a service says of itself what its state says: for where storage is away, and with it all states. */
export const alive = {
  gateway: aliveOf('gateway'),
  storage: aliveOf('storage'),
  syncer: aliveOf('syncer'),
  'twin-bridge': aliveOf('twin-bridge'),
} satisfies Record<ServiceName, unknown>;

/**
 * Why a link is as it is: the code of the fault that came first, or one of the words below. An open list: a layer of a
 * later version may have more of them.
 */
const LinkCode = Type.String({ minLength: 1, maxLength: 64 });
/** The coordinator that had begun the last pass did not end it. */
export const PASS_ABANDONED = 'pass-abandoned';
/** The parent refuses changes; all else went well. */
export const CHANGES_PARKED = 'changes-parked';

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
  /** For a person. What a program decides by is `code`. */
  detail: Type.Optional(Reason),
  code: Type.Optional(LinkCode),
  coordinator: Party,
  /** Passes that came to their end: how many, when the last one did, and the last one that events tell of. */
  passes: Type.Optional(Type.Object({ count: Count, last: Instant, news: Type.Optional(Instant) })),
  /** Selections by which there is nothing at the parent, nor here. */
  unmatched: Type.Optional(Type.Array(RepositoryPattern, { maxItems: 50 })),
  /** Where there is a window: whether it is open, and when that changes. */
  window: Type.Optional(Type.Object({ open: Type.Boolean(), until: Instant })),
  /** The layer keeps a request at its parent now, so that one that does not hear from it knows that it is cut off. */
  live: Type.Optional(Type.Boolean()),
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
    detail: Type.Optional(Reason),
    code: Type.Optional(LinkCode),
  }),
);

/** Which instance makes the passes. Key: `coordinator`. It ends `LEASE_MS` after its last renewal. */
export const Lease = Type.Object({ holder: Party });
export const lease = state('leases', Lease);
export const COORDINATOR_KEY = 'coordinator';
export const LEASE_MS = 6_000;

/** Of transfers in hand, a status names so many at most: a message of the bus has an end. */
export const MAX_ACTIVE_TRANSFERS = 100;

/** What a syncer does now. Written by each, when that changes and each `HEARTBEAT_MS`. Key: the instance. */
export const SyncerStatus = Type.Object({
  instance: Party,
  host: Party,
  pid: Type.Integer(),
  /** It makes the passes. */
  coordinates: Type.Boolean(),
  /** Transfers in hand, all of them. */
  count: Type.Integer(),
  /** The first of them. `done`: bytes that are at the far end; absent until that is known. */
  transfers: Type.Array(
    Type.Object({
      repository: Repository,
      digest: Digest,
      size: Bytes,
      direction: Direction,
      done: Type.Optional(Bytes),
      /** It waits for its next attempt until then. */
      waits: Type.Optional(Instant),
    }),
    { maxItems: MAX_ACTIVE_TRANSFERS },
  ),
});
export type SyncerStatus = Static<typeof SyncerStatus>;
export const syncerStatus = state('syncers', SyncerStatus);

/** How the source of the documents is reached. */
export const Session = Type.Object({
  connected: Type.Boolean(),
  /** Of being so. */
  since: Instant,
  /** Why it is not. */
  detail: Type.Optional(Reason),
});
export type Session = Static<typeof Session>;

/** What the configuration bridge last found: an invalid document changes nothing and is reported here. */
export const BridgeStatus = Type.Object({
  source: FilePath,
  /** One sentence per complaint, each naming its field; empty when the document is in force. */
  complaints: Type.Array(Reason, { maxItems: MAX_COMPLAINTS }),
  /** Of the desired properties that the document stands in. */
  version: Type.Optional(Type.Integer()),
  /** Where the document comes over a connection. */
  session: Type.Optional(Session),
});
export type BridgeStatus = Static<typeof BridgeStatus>;
export const bridgeStatus = request('twin-bridge.status.get', Type.Object({}), BridgeStatus);
