import { isDeepStrictEqual } from 'node:util';
import { clip } from '../contract/clip.ts';
import type { Log } from '../contract/log.ts';
import { type BucketName, buckets, type ConsumerName, consumers, type Stream, streams } from './streams.ts';

/**
 * Applies the table of streams (streams.ts) to the server: creates what is missing, sets the limits of what exists, and
 * deletes what is not in the table. JetStream's API takes durations in nanoseconds, but TTLs of buckets in ms.
 */

/** Max deleted consumers that the log names. */
const MAX_NAMED = 20;

export const nanos = (ms: number): number => ms * 1_000_000;

export const streamOf = (stream: Stream) => ({
  name: stream.name,
  subjects: [...stream.subjects],
  storage: 'file',
  retention: stream.retention,
  ...('maxConsumers' in stream && { max_consumers: stream.maxConsumers }),
});

export const limitsOf = (stream: Stream) => ({
  subjects: [...stream.subjects],
  max_bytes: stream.maxBytes as number,
  max_age: nanos(stream.maxAgeMs),
});

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
/** The operations of JetStream's manager that are used here. */
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

/** Creates a stream if it is missing; otherwise applies the limits of the table to it. */
export async function ensureStream(manager: Manager, stream: Stream): Promise<void> {
  const read = async () => (await manager.streams.info(stream.name).catch(() => undefined))?.config;
  let existing = await read();
  if (!existing) {
    try {
      await manager.streams.add({ ...streamOf(stream), ...limitsOf(stream) } as never);
      return;
    } catch (error) {
      // Another process created it first, with limits of its own.
      existing = await read();
      if (!existing) throw error;
    }
  }
  await limit(manager, stream.name, existing, limitsOf(stream));
}

async function limit(manager: Manager, name: string, config: object, limits: Config): Promise<void> {
  if (!isDeepStrictEqual({ ...config, ...limits }, config))
    await manager.streams.update(name, limits as never);
}

/**
 * Deletes what is not in the table, then creates its streams and consumers and applies the limits of existing buckets.
 * @param isReader whether a consumer is a reader of events that this process created
 */
export async function ensureTable(
  manager: Manager,
  isReader: (name: string) => boolean,
  log: Log,
): Promise<void> {
  await deleteUnknown(manager, isReader, log);
  await makeTable(manager);
}

/** The same without the deletion, for when no other program could have created anything meanwhile. */
export async function makeTable(manager: Manager): Promise<void> {
  for (const stream of Object.values(streams)) await ensureStream(manager, stream);
  for (const name of Object.keys(consumers) as ConsumerName[]) {
    await manager.consumers.add(consumers[name].stream, consumerOf(name) as never);
  }
  for (const name of Object.keys(buckets) as BucketName[]) {
    const existing = await manager.streams.info(streamOfBucket(name)).catch(() => undefined);
    const { maxBytes, ttlMs } = buckets[name];
    // A bucket in memory survives an update of the layer if the server keeps running.
    const limits = { max_bytes: maxBytes, max_age: nanos(ttlMs) };
    if (existing) await limit(manager, streamOfBucket(name), existing.config, limits);
  }
}

export const streamOfBucket = (bucket: string): string => `KV_${bucket}`;

/**
 * Deletes streams and consumers that are not in the table. An earlier version let users other than storage create them,
 * and they outlive the program that created them: a stream can capture messages to the inbox of another user, a
 * consumer can send events to any subject.
 */
async function deleteUnknown(manager: Manager, isReader: (name: string) => boolean, log: Log): Promise<void> {
  const known = new Set<string>([
    ...Object.values(streams).map(({ name }) => name),
    ...Object.keys(buckets).map(streamOfBucket),
  ]);
  const workers = new Set<string>(Object.values(consumers).map(({ stream, name }) => `${stream} ${name}`));
  for (const stream of await all(manager.streams.names())) {
    if (!known.has(stream)) {
      await manager.streams.delete(stream);
      log.warn({ stream }, 'deleted a stream that does not belong to this layer');
      continue;
    }
    const existing = await all(manager.consumers.list(stream));
    const others = existing.filter(({ name }) => !workers.has(`${stream} ${name}`) && !isReader(name));
    for (const { name } of others) await manager.consumers.delete(stream, name);
    // Readers of an earlier storage, and of commands of an earlier version, are ephemeral: no program depends on them.
    const named = others.filter(({ config }) => 'durable_name' in config || 'deliver_subject' in config);
    if (named.length === 0) continue;
    const consumers = named.slice(0, MAX_NAMED).map(({ name }) => clip(name, 100));
    log.warn(
      { stream, consumers, count: named.length },
      'deleted consumers that storage did not create: read events with storage.history.read instead (docs/guides/webhooks-and-monitors.md)',
    );
  }
}

async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}
