import { isDeepStrictEqual } from 'node:util';
import { clip } from '../contract/clip.ts';
import type { Log } from '../contract/log.ts';
import type { Write } from './store.ts';
import { type BucketName, buckets, type ConsumerName, consumers, type Stream, streams } from './streams.ts';

/** Consumers of others that are named when they are ended. */
const MAX_NAMED = 20;

/** The table of streams as JetStream's API has it: lengths of time in nanoseconds, of buckets in ms. */

export const nanos = (ms: number): number => ms * 1_000_000;

export const streamOf = (stream: Stream) => ({
  name: stream.name,
  subjects: [...stream.subjects],
  storage: 'file',
  retention: stream.retention,
  ...('maxConsumers' in stream && { max_consumers: stream.maxConsumers }),
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
  const { storage, ttlMs, maxBytes } = buckets[bucket];
  return { history: 1, storage, max_bytes: maxBytes, ...(ttlMs && { ttl: ttlMs }) };
}

type Config = Record<string, unknown>;
/** The part of JetStream's manager that is used here. */
export type Manager = {
  streams: {
    info(name: string): Promise<{ config: object }>;
    add(config: never): Promise<unknown>;
    update(name: string, config: never): Promise<unknown>;
    delete(name: string): Promise<unknown>;
    names(): AsyncIterable<string>;
  };
  consumers: {
    add(stream: string, config: never): Promise<{ name: string }>;
    delete(stream: string, name: string): Promise<unknown>;
    list(stream: string): AsyncIterable<{ name: string; config: object }>;
  };
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
  await limit(manager, stream.name, there, limitsOf(stream, eventsMs, true));
}

async function limit(manager: Manager, name: string, there: object, limits: Config): Promise<void> {
  if (!isDeepStrictEqual({ ...there, ...limits }, there)) await manager.streams.update(name, limits as never);
}

/** All streams and consumers of the table, and the limits of the buckets that are there; what is not in it ends first. */
export async function ensureTable(
  manager: Manager,
  eventsMs: number | undefined,
  readers: (name: string) => boolean,
  log: Log,
): Promise<void> {
  await endUnknown(manager, readers, log);
  await makeTable(manager, eventsMs);
}

/** The same, where nobody else could have made anything meanwhile. */
export async function makeTable(manager: Manager, eventsMs: number | undefined): Promise<void> {
  for (const stream of Object.values(streams)) await ensureStream(manager, stream, eventsMs);
  for (const name of Object.keys(consumers) as ConsumerName[]) {
    await manager.consumers.add(consumers[name].stream, consumerOf(name) as never);
  }
  for (const name of Object.keys(buckets) as BucketName[]) {
    const there = await manager.streams.info(streamOfBucket(name)).catch(() => undefined);
    const { maxBytes, ttlMs } = buckets[name];
    // A bucket in memory outlives an update of the layer where the server goes on running.
    const limits = { max_bytes: maxBytes, max_age: nanos(ttlMs) };
    if (there) await limit(manager, streamOfBucket(name), there.config, limits);
  }
}

export const streamOfBucket = (bucket: string): string => `KV_${bucket}`;

/**
 * Ends streams and consumers that are not of the table. An earlier version let others than storage make them, and they
 * outlive the program that made them: a stream can copy what goes to the inbox of somebody else, a consumer can send
 * events to whatever subject it names.
 */
async function endUnknown(manager: Manager, readers: (name: string) => boolean, log: Log): Promise<void> {
  const known = new Set<string>([
    ...Object.values(streams).map(({ name }) => name),
    ...Object.keys(buckets).map(streamOfBucket),
  ]);
  const own = new Set<string>(Object.values(consumers).map(({ stream, name }) => `${stream} ${name}`));
  for (const stream of await all(manager.streams.names())) {
    if (!known.has(stream)) {
      await manager.streams.delete(stream);
      log.warn({ stream }, 'ended a stream of the bus that is not of this layer');
      continue;
    }
    const found = await all(manager.consumers.list(stream));
    const others = found.filter(({ name }) => !own.has(`${stream} ${name}`) && !readers(name));
    for (const { name } of others) await manager.consumers.delete(stream, name);
    // Readers of an earlier storage, and of commands of an earlier version, have no name of their own: nobody misses them.
    const named = others.filter(({ config }) => 'durable_name' in config || 'deliver_subject' in config);
    if (named.length === 0) continue;
    const consumers = named.slice(0, MAX_NAMED).map(({ name }) => clip(name, 100));
    log.warn(
      { stream, consumers, count: named.length },
      "ended consumers that are not storage's: a program that read events by one of them asks storage.history.read instead (README, Monitors)",
    );
  }
}

async function all<T>(found: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of found) items.push(item);
  return items;
}

/** What a message below the subject of a bucket does there. */
export function writeOf(head: { get(name: string): string } | undefined, bytes: Uint8Array): Write {
  if (head?.get('KV-Operation')) return 'removal';
  return head?.get('Nats-Expected-Last-Subject-Sequence') ? 'conditional' : { bytes };
}
