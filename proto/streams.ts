import { LEASE_MS } from './status.ts';

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
  },
} as const;

export type Stream = (typeof streams)[keyof typeof streams];

/** Workers of the queue, by the direction of their transfers. A job not confirmed within `ackWaitMs` goes to another worker. */
export const consumers = {
  down: { stream: streams.jobs.name, name: 'down', subject: 'jobs.transfer.down', ackWaitMs: 8 * SECOND },
  up: { stream: streams.jobs.name, name: 'up', subject: 'jobs.transfer.up', ackWaitMs: 8 * SECOND },
} as const;

/** Key-value buckets. `ttlMs`: an entry ends that long after it was last written. */
export const buckets = {
  configuration: { storage: 'file', ttlMs: 0 },
  services: { storage: 'memory', ttlMs: 20 * SECOND },
  syncers: { storage: 'memory', ttlMs: 20 * SECOND },
  link: { storage: 'file', ttlMs: 0 },
  webhooks: { storage: 'file', ttlMs: 0 },
  heard: { storage: 'file', ttlMs: 0 },
  layers: { storage: 'file', ttlMs: 0 },
  presence: { storage: 'memory', ttlMs: 0 },
  leases: { storage: 'memory', ttlMs: LEASE_MS },
} as const;

export type BucketName = keyof typeof buckets;
export type ConsumerName = keyof typeof consumers;
