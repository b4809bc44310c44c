import { request } from '../contract/contract.ts';
import { Bytes, Count, Instant, Party } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { type ServiceName, serviceNames } from '../contract/users.ts';

/**
 * Counters of one process since its start, which it answers when it is asked: nothing is written or computed while
 * nobody asks. Each process has its own, as a sum over processes would fall when one of them ends.
 */

/** Upper bounds of the buckets of a histogram, in s, without the last one, which has none. */
export const HTTP_BOUNDS_S = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60] as const;
export const PASS_BOUNDS_S = [0.1, 0.5, 1, 5, 10, 60, 300, 1_800, 7_200, 43_200] as const;

const Seconds = Type.Number({ minimum: 0 });

/** `buckets`: observations in each bucket alone. `seconds`: their sum. */
const Histogram = (bounds: readonly number[]) =>
  Type.Object({ buckets: Type.Array(Count, { maxItems: bounds.length + 1 }), seconds: Seconds });

/** Counts by a word of a closed list, such as a fault code. Words without a count are left out. */
const Counts = Type.Record(Type.String({ pattern: '^[a-z][a-z-]{0,39}$' }), Count, {
  maxProperties: 60,
  additionalProperties: false,
});
export type Counts = Static<typeof Counts>;

/** Requests to a gateway, by group of paths and method. */
export const HttpMetrics = Type.Object({
  inFlight: Count,
  endpoints: Type.Array(
    Type.Object({
      route: Type.String({ maxLength: 16 }),
      method: Type.String({ maxLength: 8 }),
      /** By status; `aborted`: the client left before the end of its answer. */
      codes: Type.Record(Type.String({ pattern: '^([1-5][0-9]{2}|aborted|other)$' }), Count, {
        maxProperties: 60,
        additionalProperties: false,
      }),
      duration: Histogram(HTTP_BOUNDS_S),
    }),
    { maxItems: 120 },
  ),
});
export type HttpMetrics = Static<typeof HttpMetrics>;

/** How a pass ended: all was done, or the first of these that holds. */
export const passOutcomes = ['ok', 'ended', 'failed', 'parked', 'incomplete'] as const;
/** What a pass did with tags, and with manifests without one. */
export const passActions = ['taken', 'dropped', 'sent', 'withdrawn', 'failed'] as const;
export const transferOutcomes = ['finished', 'mounted', 'paused', 'failed'] as const;
/**
 * `new`: crossed the link for the first time. `again`: crossed it although they had before, or were lost on the way.
 * `reused`: left by an earlier transfer, so they did not cross. `mounted`: the parent had them in another repository.
 * `cut-through`: crossed the link while the parent was still receiving them.
 */
export const byteKinds = ['new', 'again', 'reused', 'mounted', 'cut-through'] as const;

const Words = <T extends string>(words: readonly T[]) =>
  Type.Object(Object.fromEntries(words.map((word) => [word, Count])) as Record<T, typeof Count>);

/** What crossed the link instead of a blob: a delta, or only those frames of it that the receiver lacked. */
export const savingKinds = ['delta', 'frames'] as const;

/** `bytes`: those of the blobs that did not cross the link. `cpuMs`: processor time of rebuilding the blobs here. */
const Saved = Type.Object({ transfers: Count, bytes: Bytes, cpuMs: Count });

const TransferMetrics = Type.Object({
  outcomes: Words(transferOutcomes),
  bytes: Words(byteKinds),
  saved: Type.Object({ delta: Saved, frames: Saved } satisfies Record<(typeof savingKinds)[number], unknown>),
  /** Transfers that were given up until the next pass, by fault. */
  failures: Counts,
  /** Attempts after which a transfer waited for the next one, by fault. */
  retries: Counts,
});
export type TransferMetrics = Static<typeof TransferMetrics>;

/**
 * `made`: kept for receivers. `poor`: hardly smaller than the target, and dropped. `applied`: made its target.
 * `mismatched`: made other bytes. `failed`: was not made, or not applied, for another cause.
 */
export const deltaOutcomes = ['made', 'poor', 'applied', 'mismatched', 'failed'] as const;

const DeltaMetrics = Type.Object({
  outcomes: Words(deltaOutcomes),
  /** Those that failed, by fault. */
  failures: Counts,
  /** Of those that were made: bytes of their targets, and their own. */
  targetBytes: Bytes,
  deltaBytes: Bytes,
  /** Processor time, in ms. */
  makeMs: Count,
  applyMs: Count,
});
export type DeltaMetrics = Static<typeof DeltaMetrics>;

/** Work of a syncer. Passes are counted by the syncer that coordinates. */
export const SyncMetrics = Type.Object({
  passes: Type.Object({
    outcomes: Words(passOutcomes),
    actions: Words(passActions),
    /** The failures and parked changes that results list, by fault. */
    failures: Counts,
    duration: Histogram(PASS_BOUNDS_S),
  }),
  down: TransferMetrics,
  up: TransferMetrics,
  deltas: DeltaMetrics,
  /** When the parent's certificate ends, as of the last connection. */
  certificateEnds: Type.Optional(Instant),
});
export type SyncMetrics = Static<typeof SyncMetrics>;

/** What a service adds to the figures of its process. */
export type ServiceMetrics = { http?: HttpMetrics; sync?: SyncMetrics };

export const ProcessMetrics = Type.Object({
  instance: Party,
  host: Party,
  pid: Type.Integer(),
  started: Instant,
  node: Type.String({ maxLength: 32 }),
  /** CPU time since the start. */
  cpu: Type.Object({ user: Seconds, system: Seconds }),
  memory: Type.Object({ resident: Bytes, heap: Bytes }),
  /** `lag`: delay of a timer now. `active`: time since the start in which the event loop did not wait. */
  loop: Type.Object({ lag: Seconds, active: Seconds }),
  /** Round trip to the server of the bus now. */
  bus: Seconds,
  /** Open files and connections; absent where the system does not say. */
  files: Type.Optional(Count),
  http: Type.Optional(HttpMetrics),
  sync: Type.Optional(SyncMetrics),
});
export type ProcessMetrics = Static<typeof ProcessMetrics>;

const metricsOf = (service: ServiceName) =>
  request(`${service}.metrics.get.*`, Type.Object({}), ProcessMetrics);
/** Asks any process of a service; `metricsOfInstance` asks one. */
export const processMetrics = Object.fromEntries(
  serviceNames.map((service) => [service, metricsOf(service)]),
) as Record<ServiceName, ReturnType<typeof metricsOf>>;

/** The last part of the subject is the instance. A name of a host has dots, which separate parts of a subject. */
export const metricsOfInstance = (service: ServiceName, instance: string): ReturnType<typeof metricsOf> => ({
  ...processMetrics[service],
  subject: `${service}.metrics.get.${instance.replaceAll('.', '_')}`,
});
