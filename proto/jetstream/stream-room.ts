import type { Pulled, PullOptions } from './pull.ts';

/** Usage of the stream of events by subject, and trimming. */

/** In bytes. Above `limit`, the server deletes the oldest events of any subject. */
export type StreamSize = { bytes: number; limit: number };
/** An event of the stream; `bytes` is the approximate size that it takes there. */
export type SizedEvent = { sequence: number; subject: string; bytes: number };

export type Room = {
  size(): Promise<StreamSize>;
  /** Whether the stream holds an event of this subject, which may have wildcards. */
  has(subject: string): Promise<boolean>;
  /** Visits all events, without their data. Takes seconds if the stream is full. */
  scan(visit: (event: SizedEvent) => void): Promise<void>;
  /** Deletes all events of the subject before this sequence. @returns how many */
  trim(subject: string, before: number): Promise<number>;
};

/** The operations of JetStream that are used here, on the stream of events. */
export type StreamRoomDeps = {
  /** With a filter, including the subjects that match it. */
  info(filter?: string): Promise<{
    config: { max_bytes: number };
    state: { bytes: number; last_seq: number; subjects?: Record<string, number> };
  }>;
  purge(options: { filter: string; seq: number }): Promise<{ purged: number }>;
  /** @returns its name */
  makeConsumer(config: object): Promise<string>;
  pull(name: string, options: PullOptions): Promise<Pulled[]>;
  dropConsumer(name: string): void;
};

/** Approximate size of headers, subject and record of the server per event, in bytes. */
const OVERHEAD_BYTES = 150;
/** Max events per page. */
const PAGE = 1_000;
/** Max wait for a page, in ms. A page is never larger than the remaining stream, so the server sends it at once. */
const WAIT_MS = 10_000;
/** Idle time after which the server deletes the consumer, in ns. */
const FORGET_NANOS = 60e9;

export function roomOf(deps: StreamRoomDeps): Room {
  const { info, purge } = deps;
  return {
    size: async () => {
      const { config, state } = await info();
      return { bytes: state.bytes, limit: config.max_bytes };
    },
    has: async (subject) => Object.keys((await info(subject)).state.subjects ?? {}).length > 0,
    scan: (visit) => scan(deps, visit),
    trim: async (subject, before) => (await purge({ filter: subject, seq: before })).purged,
  };
}

/** @throws Error if the server does not answer */
async function scan(
  { info, makeConsumer, pull, dropConsumer }: StreamRoomDeps,
  visit: (event: SizedEvent) => void,
): Promise<void> {
  const { last_seq: last } = (await info()).state;
  const name = await makeConsumer({
    deliver_policy: 'all',
    ack_policy: 'none',
    headers_only: true,
    mem_storage: true,
    inactive_threshold: FORGET_NANOS,
  });
  try {
    let left = last > 0 ? 1 : 0;
    for (let reached = 0; reached < last && left > 0; ) {
      const page = await pull(name, { batch: Math.min(PAGE, left), waitMs: WAIT_MS });
      if (page.length === 0) return;
      for (const { sequence, subject, size, pending } of page) {
        reached = sequence;
        left = pending;
        visit({ sequence, subject, bytes: size + OVERHEAD_BYTES });
      }
    }
  } finally {
    dropConsumer(name);
  }
}
