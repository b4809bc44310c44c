import { described, event, request, state } from '../contract/contract.ts';
import { Bytes, Code, Count, FilePath, Instant, Party, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import type { ServiceName } from '../contract/users.ts';
import { MAX_COMPLAINTS } from '../document/complaints.ts';
import { Digest, Repository } from '../oci/names.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { LeftOutSummary } from '../sync/left-out.ts';
import { LinkPause } from '../sync/pause.ts';
import { CrossingDelta, Direction } from '../sync/transfers.ts';

/**
 * Status of a layer, for the command line, the twin, metrics and the parent.
 *
 * Each part has one writer: a process writes its heartbeat, the coordinator the link, each syncer its transfers (this
 * file), storage answers for its content (storage-status.ts) and writes the audit log (audit.ts). Heartbeats and leases
 * expire unless they are renewed. The coordinator reports the status of the layer, and of those below, to the parent
 * (layers-below.ts, layer-reports.ts), which knows by its requests whether the child is present (presence.ts). How far
 * receivers of events are: history-status.ts for the parent, webhooks.ts for webhooks.
 */

/** Interval of heartbeats. */
export const HEARTBEAT_MS = 15_000;
/** Heartbeat of a service process, written each `HEARTBEAT_MS`. Key: the instance. */
export const ServiceStatus = Type.Object({
  service: Type.String({ maxLength: 64 }),
  instance: Party,
  host: Party,
  pid: Type.Integer(),
  started: Instant,
  /** Resident memory, in bytes. */
  memory: Bytes,
  /** Version of Terrace. */
  version: Type.Optional(Type.String({ maxLength: 64 })),
  /** Of a gateway with TLS: when its certificate ends. */
  certificateEnds: Type.Optional(Instant),
  /** Of a gateway: while the layer has no token, everyone has full access; false: nobody is admitted. */
  open: Type.Optional(Type.Boolean()),
});
export type ServiceStatus = Static<typeof ServiceStatus>;
export const serviceStatus = state('services', ServiceStatus);

const aliveOf = (service: ServiceName) => request(`${service}.alive.get`, Type.Object({}), ServiceStatus);
/** The heartbeat of one process of a service, on request: for when storage, and with it every state, is unavailable. */
export const alive = {
  gateway: aliveOf('gateway'),
  storage: aliveOf('storage'),
  syncer: aliveOf('syncer'),
  'twin-bridge': aliveOf('twin-bridge'),
} satisfies Record<ServiceName, unknown>;

/** The code of the first fault, or one of the codes below. An open list: a layer of a later version may have more. */
const LinkCode = Type.String({
  minLength: 1,
  maxLength: 64,
  description:
    'Cause of the state, for programs: a fault code, `pass-abandoned`, `changes-parked`, `content-left-out`, `paused` or, of a layer below, `not-heard`.',
});
/** The coordinator that began the last pass did not end it. */
export const PASS_ABANDONED = 'pass-abandoned';
/** An operator paused the link. */
export const PAUSED = 'paused';
/** Outside the window: nothing was tried. */
export const WINDOW_CLOSED = 'window-closed';
/** The layer is online, and lacks content that the parent does not provide. */
export const CONTENT_LEFT_OUT = 'content-left-out';
/** The parent refuses changes; everything else succeeded. */
export const CHANGES_PARKED = 'changes-parked';

/** The link to the parent. Written by the coordinator. Key: `parent`. */
export const LinkStatus = Type.Object({
  state: Type.Union(
    [Type.Literal('Online'), Type.Literal('Offline'), Type.Literal('Syncing'), Type.Literal('Unhealthy')],
    {
      description:
        'Online: the last pass succeeded. Syncing: a pass is running. Offline: the parent does not answer, or the link is paused. Unhealthy: it answers, but the last pass left work undone.',
    },
  ),
  since: Instant,
  /** When the last successful pass ended. */
  lastSync: Type.Optional(Instant),
  comparedAt: Type.Optional(
    described(
      Instant,
      'When the last pass began that compared everything, without a failure: what the parent had then is here or known to be missing.',
    ),
  ),
  /** The `comparisonScope` of that pass: document/comparison-scope.ts. */
  comparedScope: Type.Optional(Type.String({ maxLength: 64 })),
  /** The present coordinator has compared everything: what the parent changes while the link is `live` is known. */
  follows: Type.Optional(Type.Boolean()),
  detail: Type.Optional(described(Reason, 'The cause, for a person. Programs decide by `code`.')),
  code: Type.Optional(LinkCode),
  coordinator: Party,
  /** Completed passes: how many, and when the last one, and the last one with events (`announced`), ended. */
  passes: Type.Optional(Type.Object({ count: Count, last: Instant, announced: Type.Optional(Instant) })),
  /** Selections that match nothing, neither at the parent nor here. */
  unmatched: Type.Optional(Type.Array(RepositoryPattern, { maxItems: 50 })),
  /** What the layer lacks of the images that it has. */
  leftOut: Type.Optional(LeftOutSummary),
  /** An operator paused the link: its state is `Offline` with the code `paused`. */
  paused: Type.Optional(LinkPause),
  /** If a window is configured: whether it is open, and when that changes. */
  window: Type.Optional(Type.Object({ open: Type.Boolean(), until: Instant })),
  /** The layer keeps a request open at its parent now: a parent that receives none knows that the layer is cut off. */
  live: Type.Optional(Type.Boolean()),
  /** When the schedule begins the next pass. */
  next: Type.Optional(Instant),
  /** Measured on the way down, in bytes/s; absent before the first measurement. */
  rate: Type.Optional(Bytes),
});
export type LinkStatus = Static<typeof LinkStatus>;
export const linkStatus = state('link', LinkStatus);
export const LINK_KEY = 'parent';

/** The state of the link to the parent changed. */
export const linkChanged = event(
  'link.changed',
  Type.Object({
    from: Type.Optional(described(LinkStatus.properties.state, 'The state before; absent for the first.')),
    state: LinkStatus.properties.state,
    detail: LinkStatus.properties.detail,
    code: Type.Optional(LinkCode),
  }),
);

/** Which instance makes the passes. Key: `coordinator`. It expires `LEASE_MS` after its last renewal. */
export const Lease = Type.Object({ holder: Party });
export const lease = state('leases', Lease);
export const COORDINATOR_KEY = 'coordinator';
export const LEASE_MS = 6_000;

/** Max active transfers in a status: it must fit into one message of the bus. */
export const MAX_ACTIVE_TRANSFERS = 100;

/**
 * What was saved on the link: by a syncer since its start, or in total. `saved`: bytes of blobs that did not cross it.
 * `crossed`: bytes of blobs and deltas that did. `transfers`: transfers of blobs that saved bytes. `mismatched`: deltas
 * that made other bytes than their targets. `cpuMs`: processor time of making and applying deltas, and of rebuilding
 * blobs of frames.
 */
export const Savings = Type.Object({
  since: Instant,
  saved: Bytes,
  crossed: Bytes,
  transfers: Count,
  mismatched: Count,
  /** When the last of these mismatches was, if that was within a day. */
  mismatchedAt: Type.Optional(Instant),
  cpuMs: Count,
});
export type Savings = Static<typeof Savings>;

/** The total of the layer, since the first saved byte: each syncer adds to it. Key: `savings`. */
export const savedTotals = state('link', Savings);
export const SAVINGS_KEY = 'savings';

/** Current work of a syncer. Each writes its own, on each change and each `HEARTBEAT_MS`. Key: the instance. */
export const SyncerStatus = Type.Object({
  instance: Party,
  host: Party,
  pid: Type.Integer(),
  /** It makes the passes. */
  coordinates: Type.Boolean(),
  /** Bytes a second that crossed the link in the last seconds, as far as this syncer moved them. */
  rate: Type.Optional(Type.Object({ down: Bytes, up: Bytes })),
  /** Of the coordinator: the bandwidth limit in force, in bytes a second; absent without one. */
  limit: Type.Optional(Bytes),
  /** Absent while nothing was saved, and no delta was made or applied. */
  savings: Type.Optional(Savings),
  /** Number of active transfers. */
  count: Type.Integer(),
  /** The first of them. `done`: bytes at the far end; absent until that is known. */
  transfers: Type.Array(
    Type.Object({
      repository: Repository,
      digest: Digest,
      size: Bytes,
      direction: Direction,
      /** What crosses the link instead of the blob: `done` and `rate` are bytes of it. */
      delta: Type.Optional(CrossingDelta),
      done: Type.Optional(Bytes),
      /** Bytes a second in the last seconds; absent while none move. */
      rate: Type.Optional(Bytes),
      /** Attempts that began. */
      attempts: Type.Optional(Count),
      /** It backs off until then. */
      waits: Type.Optional(Instant),
      /** While it backs off: the fault of the last attempt. */
      code: Type.Optional(Code),
    }),
    { maxItems: MAX_ACTIVE_TRANSFERS },
  ),
});
export type SyncerStatus = Static<typeof SyncerStatus>;
export const syncerStatus = state('syncers', SyncerStatus);

/** Connection to the source of the documents. */
export const TwinSession = Type.Object({
  connected: Type.Boolean(),
  /** When `connected` last changed. */
  since: Instant,
  /** Why it is not connected. */
  detail: Type.Optional(Reason),
});
export type TwinSession = Static<typeof TwinSession>;

/** Last result of the configuration bridge: an invalid document changes nothing and is reported here. */
export const BridgeStatus = Type.Object({
  source: FilePath,
  /** One sentence per complaint, each naming its field; empty if the document is in force. */
  complaints: Type.Array(Reason, { maxItems: MAX_COMPLAINTS }),
  /** Version of the desired properties that contain the document. */
  version: Type.Optional(Type.Integer()),
  /** Present while a document is read or put in force: the layer still has its last configuration, or none. */
  pending: Type.Optional(Type.Literal(true)),
  /** If the document is received over a connection. */
  session: Type.Optional(TwinSession),
});
export type BridgeStatus = Static<typeof BridgeStatus>;
export const bridgeStatus = request('twin-bridge.status.get', Type.Object({}), BridgeStatus);
