import { LEASE_MS } from '../status/status.ts';

/**
 * Everything that JetStream keeps, in one table. All of it may be lost: jobs are wishes that the next pass makes
 * again, events are history, states are written again by whoever owns them.
 */
const SECOND = 1_000;
const DAY = 24 * 60 * 60 * SECOND;
const MIB = 1024 * 1024;

export const streams = {
  /** Work queue: an entry goes when a worker says that it is done. */
  jobs: { name: 'JOBS', subjects: ['jobs.>'], retention: 'workqueue', maxAgeMs: DAY, maxBytes: 64 * MIB },
  /** History, own and of the layers below, kept as long as the configuration says (two days until it does) or 256 MiB, whichever ends first. */
  events: {
    name: 'EVENTS',
    subjects: ['events.>', 'below.>'],
    retention: 'limits',
    maxAgeMs: 2 * DAY,
    maxBytes: 256 * MIB,
    /** Readers, which storage makes and ends; a second bound to that of `event-readers.ts`. Takes effect where the stream is new. */
    maxConsumers: 128,
  },
} as const;

export type Stream = (typeof streams)[keyof typeof streams];

/** Workers of the queue, by the direction of their transfers. A job not confirmed within `ackWaitMs` goes to another worker. */
export const consumers = {
  down: { stream: streams.jobs.name, name: 'down', subject: 'jobs.transfer.down', ackWaitMs: 8 * SECOND },
  up: { stream: streams.jobs.name, name: 'up', subject: 'jobs.transfer.up', ackWaitMs: 8 * SECOND },
} as const;

/** Key-value buckets. `ttlMs`: an entry ends that long after it was last written. Together with the streams they fit into the limits of `cli/data/bus-configuration.ts`. */
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
