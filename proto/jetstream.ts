import { isDeepStrictEqual } from 'node:util';
import { readEvent } from './envelope.ts';
import type { Archive, Stored } from './history.ts';
import type { Write } from './states.ts';
import { type BucketName, buckets, type ConsumerName, consumers, type Stream, streams } from './streams.ts';

/** The table of streams as JetStream's API has it: lengths of time in nanoseconds, of buckets in ms. */

const nanos = (ms: number): number => ms * 1_000_000;

export const streamOf = ({ name, subjects, retention }: Stream) => ({
  name,
  subjects: [...subjects],
  storage: 'file',
  retention,
});

/**
 * What a stream may hold. How long events are kept is up to the configuration: who does not know it leaves that of a
 * stream that is `there` as it is.
 */
export function limitsOf(stream: Stream, eventsMs: number | undefined, there: boolean) {
  const unknown = there ? undefined : streams.events.maxAgeMs;
  const ageMs = stream === streams.events ? (eventsMs ?? unknown) : stream.maxAgeMs;
  return {
    subjects: [...stream.subjects],
    max_bytes: stream.maxBytes as number,
    ...(ageMs && { max_age: nanos(ageMs) }),
  };
}

export function consumerOf(consumer: ConsumerName) {
  const { name, subject, ackWaitMs } = consumers[consumer];
  return {
    durable_name: name,
    filter_subject: subject,
    ack_policy: 'explicit',
    ack_wait: nanos(ackWaitMs),
    max_ack_pending: 1_000,
  };
}

export function bucketOf(bucket: BucketName) {
  const { storage, ttlMs } = buckets[bucket];
  return { history: 1, storage, ...(ttlMs && { ttl: ttlMs }) };
}

type Config = Record<string, unknown>;
/** The part of JetStream's manager that is used here. */
export type Manager = {
  streams: {
    info(name: string): Promise<{
      config: object;
      created: string;
      state: { first_seq: number; last_seq: number };
    }>;
    add(config: never): Promise<unknown>;
    update(name: string, config: never): Promise<unknown>;
    getMessage(
      name: string,
      query: { last_by_subj: string } | { seq: number },
    ): Promise<{ seq: number; data: Uint8Array }>;
  };
  consumers: { add(stream: string, config: never): Promise<{ name: string }> };
};

/** Made where it is missing; where it is there, its limits become those of the table. */
export async function ensureStream(manager: Manager, stream: Stream, eventsMs: number | undefined) {
  const look = async () => (await manager.streams.info(stream.name).catch(() => undefined))?.config;
  let there = await look();
  if (!there) {
    try {
      await manager.streams.add({ ...streamOf(stream), ...limitsOf(stream, eventsMs, false) } as never);
      return;
    } catch (error) {
      // Somebody else was faster, with limits of its own.
      there = await look();
      if (!there) throw error;
    }
  }
  const limits: Config = limitsOf(stream, eventsMs, true);
  if (!isDeepStrictEqual({ ...there, ...limits }, there)) {
    await manager.streams.update(stream.name, limits as never);
  }
}

/** All streams and consumers of the table. */
export async function ensureTable(manager: Manager, eventsMs: number | undefined): Promise<void> {
  for (const stream of Object.values(streams)) await ensureStream(manager, stream, eventsMs);
  for (const name of Object.keys(consumers) as ConsumerName[]) {
    await manager.consumers.add(consumers[name].stream, consumerOf(name) as never);
  }
}

/** What a message below the subject of a bucket does there. */
export function writeOf(head: { get(name: string): string } | undefined, bytes: Uint8Array): Write {
  if (head?.get('KV-Operation')) return 'removal';
  return head?.get('Nats-Expected-Last-Subject-Sequence') ? 'conditional' : { bytes };
}

type Message = { seq: number; subject: string; data: Uint8Array; info: { deliverySequence: number } };
type Queue = { fetch(options: { max_messages: number; expires: number }): Promise<AsyncIterable<Message>> };

const PAGE = { max_messages: 500, expires: 1_000 };
/** A reader that is gone is forgotten after so long, in ms. */
const FORGET_MS = 30_000;

/** The stream of events, for whoever reads it from some point on. */
export function archiveOf(
  managing: () => Promise<Manager>,
  consumer: (stream: string, name: string) => Promise<Queue>,
): Archive {
  const { name } = streams.events;
  const one = async (query: { last_by_subj: string } | { seq: number }) => {
    try {
      return await (await managing()).streams.getMessage(name, query);
    } catch (error) {
      // JetStream error 10037: no message found.
      if ((error as { api_error?: { err_code: number } }).api_error?.err_code === 10037) return undefined;
      throw error;
    }
  };
  return {
    kept: async () => {
      const { created, state } = await (await managing()).streams.info(name);
      // A stream that never held anything says 0.
      return { first: Math.max(1, state.first_seq), last: state.last_seq, made: created };
    },
    last: async (subject) => (await one({ last_by_subj: subject }))?.seq,
    idAt: async (sequence) => {
      const found = await one({ seq: sequence });
      return found && readEvent(found.data)?.id;
    },
    open: async (from, subject) => {
      const start =
        typeof from === 'number'
          ? { deliver_policy: 'by_start_sequence', opt_start_seq: Math.max(1, from) }
          : { deliver_policy: 'by_start_time', opt_start_time: from.toISOString() };
      const config = {
        ...start,
        ...(subject && { filter_subject: subject }),
        ack_policy: 'none',
        mem_storage: true,
        inactive_threshold: nanos(FORGET_MS),
      };
      const made = await (await managing()).consumers.add(name, config as never);
      const queue = await consumer(name, made.name);
      const reader = { delivered: 0 };
      return { page: async () => stored(await queue.fetch(PAGE), reader) };
    },
  };
}

/** @throws Error where one that the server sent did not come: a page that ended in time may have left some behind */
async function* stored(
  messages: AsyncIterable<Message>,
  reader: { delivered: number },
): AsyncGenerator<Stored> {
  for await (const { seq, subject, data, info } of messages) {
    reader.delivered += 1;
    if (info.deliverySequence !== reader.delivered) throw new Error('some events were lost on their way');
    yield { sequence: seq, subject, data } satisfies Stored;
  }
}
