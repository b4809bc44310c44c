import { LEASE_MS } from '../status/status.ts';

/**
 * Everything that JetStream stores, in one table. All of it may be lost: the next pass submits jobs again, events are
 * history, and the owner of a state writes it again.
 */
const SECOND = 1_000;
const DAY = 24 * 60 * 60 * SECOND;
const MIB = 1024 * 1024;

export const streams = {
  /** Work queue: an entry is deleted when a worker acknowledges it. */
  jobs: { name: 'JOBS', subjects: ['jobs.>'], retention: 'workqueue', maxAgeMs: DAY, maxBytes: 64 * MIB },
  /**
   * History of this layer and of the layers below, up to 256 MiB. Storage deletes what is older than the retention time
   * of the configuration (`services/storage/history/history-age.ts`): the server knows only the wall clock.
   */
  events: {
    name: 'EVENTS',
    subjects: ['events.>', 'below.>'],
    retention: 'limits',
    maxAgeMs: 0,
    maxBytes: 256 * MIB,
    /** Max readers, in addition to the bounds of `event-readers.ts`. Takes effect only when the stream is created. */
    maxConsumers: 128,
  },
} as const;

export type Stream = (typeof streams)[keyof typeof streams];

/**
 * Consumers of the job queue: transfers by direction, and what makes and applies deltas. A job not acknowledged within
 * `ackWaitMs` is redelivered.
 */
export const consumers = {
  down: { stream: streams.jobs.name, name: 'down', subject: 'jobs.transfer.down', ackWaitMs: 8 * SECOND },
  up: { stream: streams.jobs.name, name: 'up', subject: 'jobs.transfer.up', ackWaitMs: 8 * SECOND },
  make: { stream: streams.jobs.name, name: 'make', subject: 'jobs.delta.make', ackWaitMs: 8 * SECOND },
  apply: { stream: streams.jobs.name, name: 'apply', subject: 'jobs.delta.apply', ackWaitMs: 8 * SECOND },
} as const;

/**
 * Key-value buckets. `ttlMs`: an entry expires this long after its last write; 0: never. Together with the streams,
 * they fit into the limits of `cli/data/bus-configuration.ts`.
 */
export const buckets = {
  configuration: { storage: 'file', ttlMs: 0, maxBytes: 8 * MIB },
  services: { storage: 'memory', ttlMs: 50 * SECOND, maxBytes: 4 * MIB },
  syncers: { storage: 'memory', ttlMs: 50 * SECOND, maxBytes: 8 * MIB },
  link: { storage: 'file', ttlMs: 0, maxBytes: 8 * MIB },
  webhooks: { storage: 'file', ttlMs: 0, maxBytes: 16 * MIB },
  heard: { storage: 'file', ttlMs: 0, maxBytes: 64 * MIB },
  layers: { storage: 'file', ttlMs: 0, maxBytes: 128 * MIB },
  presence: { storage: 'memory', ttlMs: 0, maxBytes: 4 * MIB },
  leases: { storage: 'memory', ttlMs: LEASE_MS, maxBytes: 16 * MIB },
} as const;

export type BucketName = keyof typeof buckets;
export type ConsumerName = keyof typeof consumers;
