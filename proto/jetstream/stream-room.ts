import type { Pulled, PullOptions } from './pull.ts';

/** How much of the stream of events is whose, and how room is made in it. */

/** `limit`: above it, the server takes away the oldest events, whoever's they are. */
export type StreamSize = { bytes: number; limit: number };
/** One event of the stream; `bytes` is about what it takes there. */
export type SizedEvent = { sequence: number; subject: string; bytes: number };

export type Room = {
  size(): Promise<StreamSize>;
  /** Whether there is an event of this subject, wildcards and all. */
  has(subject: string): Promise<boolean>;
  /** Looks at all events, without what they say. It takes seconds where the stream is full. */
  scan(visit: (event: SizedEvent) => void): Promise<void>;
  /** Takes away all events of the subject before this one. @returns how many these were */
  trim(subject: string, before: number): Promise<number>;
};

/** The part of JetStream that is used here, of the stream of events. */
export type RoomDeps = {
  /** With a filter, its subjects. */
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

/** Of headers, subject and what the server keeps beside them. */
const BESIDE_BYTES = 150;
const PAGE = 1_000;
/** A page is not asked to be larger than what is there, so it comes as fast as the server can. */
const WAIT_MS = 10_000;
const FORGET_NANOS = 60e9;

export function roomOf(deps: RoomDeps): Room {
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

/** @throws Error where the server does not answer */
async function scan(
  { info, makeConsumer, pull, dropConsumer }: RoomDeps,
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
        visit({ sequence, subject, bytes: size + BESIDE_BYTES });
      }
    }
  } finally {
    dropConsumer(name);
  }
}
