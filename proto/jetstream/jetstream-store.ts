import type { JetStreamManager, KV, KvOptions, NatsConnection } from 'nats';
import { readEvent } from '../contract/envelope.ts';
import type { Log } from '../contract/log.ts';
import { Appender } from './appender.ts';
import type { Archive, Stored } from './archive.ts';
import { EventReaders, type HistoryQuery, readerOf } from './event-readers.ts';
import { type Dropped, JobQueue } from './job-queue.ts';
import { type PullOptions, pull } from './pull.ts';
import type { Bucket, Listed, Queue, Store } from './store.ts';
import { MAX_STATE_ENTRIES, PAGE_BYTES } from './store-requests.ts';
import { type Room, roomOf } from './stream-room.ts';
import { bucketOf, consumerOf, ensureTable, makeTable, streamOfBucket } from './stream-table.ts';
import { type BucketName, buckets, type ConsumerName, consumers, streams } from './streams.ts';

/**
 * JetStream, as the bus uses it: the stream of events, the job queues and the key-value buckets of a layer. `store.ts`
 * and `archive.ts` are its interfaces, `streams.ts` is the table of all that is stored, and `stream-table.ts` creates
 * it on the server. `store-requests.ts` declares the requests by which other processes than storage use it.
 *
 * Storage has one `JetStreamStore` per connection. `ensure` runs after each connect: it deletes streams and consumers
 * that are not in the table and creates those that are missing. Then buckets are read and written by key, jobs are
 * pulled one at a time (`job-queue.ts`), events are appended and read in pages by reused consumers
 * (`event-readers.ts`), and old events are trimmed (`stream-room.ts`). `onDisconnect` fails the open pulls when the
 * connection breaks; `ensure` follows the reconnect. All that is stored here may be lost.
 */

const TIMEOUT_MS = 5_000;
const APPEND_MS = 2_000;
/** User that receives JetStream's answers: no other may publish on its subjects. */
const USER = 'storage';

/** The store of a layer in JetStream; in storage only. */
export class JetStreamStore implements Store {
  readonly archive: Archive;
  readonly room: Room;
  readonly #nc: NatsConnection;
  readonly #log: Log;
  readonly #appender: Appender;
  readonly #readers: EventReaders;
  /** Consumers of the stream of events that this process created. */
  readonly #consumers = new Set<string>();
  readonly #queues: Record<ConsumerName, JobQueue>;
  readonly #kvs = new Map<string, Promise<KV>>();
  #recreating: Promise<void> | undefined;
  #connected = new AbortController();

  constructor(nc: NatsConnection, dropped: (dropped: Dropped) => void, log: Log) {
    this.#nc = nc;
    this.#log = log;
    this.#appender = new Appender(nc, USER, APPEND_MS);
    const { name: stream } = streams.events;
    this.#readers = new EventReaders({
      make: (from, subject) => this.#addConsumer(readerOf(from, subject)),
      pull: (name, options) => this.#pull({ stream, name }, options),
      drop: (name) => this.#dropConsumer(name),
    });
    const queue = (name: ConsumerName) => new JobQueue(name, this.#queueDeps(name), dropped, log);
    this.#queues = { down: queue('down'), up: queue('up'), make: queue('make'), apply: queue('apply') };
    this.archive = this.#archive();
    this.room = roomOf({
      info: async (filter) =>
        (await this.#manager()).streams.info(stream, filter ? { subjects_filter: filter } : {}),
      purge: async (options) => (await this.#manager()).streams.purge(stream, options),
      makeConsumer: (config) => this.#addConsumer(config),
      dropConsumer: (name) => this.#dropConsumer(name),
      pull: (name, options) => this.#pull({ stream, name }, options),
    });
  }

  /** Call it when the connection has broken: open pulls fail, as no answer to them arrives. */
  onDisconnect(): void {
    this.#appender.onDisconnect();
    this.#connected.abort(new Error('lost the connection to the bus'));
    this.#connected = new AbortController();
  }

  async append(subject: string, id: string, bytes: Uint8Array): Promise<number> {
    // With the subject: a user permitted on one subject can't make an event of another one count as a duplicate.
    return this.#appender.append(subject, `${subject} ${id}`, bytes);
  }

  queue(name: ConsumerName): Queue {
    return this.#queues[name];
  }

  /**
   * Makes the server redeliver all jobs that are not acknowledged. It measures their waits by its wall clock: once that
   * is set back, a job that was returned, or lost with its worker, would wait for decades. A job in progress is then
   * delivered twice, which is harmless.
   */
  async redeliverJobs(): Promise<void> {
    const manager = await this.#manager();
    for (const name of Object.keys(consumers) as ConsumerName[]) {
      const { stream } = consumers[name];
      await manager.consumers.delete(stream, name).catch(() => {});
      await manager.consumers.add(stream, consumerOf(name) as never);
    }
  }

  /** Reads a page of events for a user of the bus. @throws Fault `too-many` */
  page(query: HistoryQuery, user: string): Promise<Stored[]> {
    return this.#readers.page(query, user);
  }

  /** Creates what is missing of the table of streams, deletes what is not in it. Idempotent; errors are only logged. */
  async ensure(): Promise<void> {
    this.#kvs.clear();
    this.#readers.forget();
    this.#consumers.clear();
    try {
      const isReader = (name: string) => this.#consumers.has(name);
      await ensureTable((await this.#manager()) as never, isReader, this.#log);
      for (const bucket of Object.keys(buckets)) await this.#kv(bucket);
    } catch (err) {
      this.#warn(err);
    }
  }

  /** Creates what the server has lost while running; readers of events are not affected. One run at a time. */
  #recreate(): Promise<void> {
    this.#recreating ??= this.#manager()
      .then((manager) => makeTable(manager as never))
      .catch((err) => this.#warn(err))
      .finally(() => {
        this.#recreating = undefined;
      });
    return this.#recreating;
  }

  /** What fails then fails since the process stops. */
  get #isClosing(): boolean {
    return this.#nc.isClosed() || this.#nc.isDraining();
  }

  #warn(err: unknown): void {
    if (!this.#isClosing) this.#log.warn({ err }, 'cannot create streams');
  }

  bucket(name: string): Bucket {
    return {
      get: async (key) => {
        const entry = await (await this.#kv(name)).get(key);
        return entry?.operation === 'PUT' ? { bytes: entry.value, revision: entry.revision } : undefined;
      },
      put: async (key, bytes) => void (await (await this.#kv(name)).put(key, bytes)),
      swap: async (key, bytes, revision) => {
        const kv = await this.#kv(name);
        try {
          return await (revision === 0 ? kv.create(key, bytes) : kv.update(key, bytes, revision));
        } catch (error) {
          if (codeOf(error) === WRONG_LAST_SEQUENCE) return undefined;
          throw error;
        }
      },
      remove: async (key) => (await this.#kv(name)).delete(key),
      list: (after) => this.#list(name, after),
    };
  }

  async #list(name: string, after = ''): ReturnType<Bucket['list']> {
    const kv = await this.#kv(name);
    const prefix = `$KV.${name}.`;
    // Needs no consumer: the server lists the subjects of the stream.
    const info = await (await this.#manager()).streams.info(streamOfBucket(name), {
      subjects_filter: `${prefix}>`,
    });
    const keys = Object.keys(info.state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
    const entries: Listed[] = [];
    let size = 0;
    for (const key of keys.filter((key) => key > after).sort()) {
      const entry = await kv.get(key);
      if (entry?.operation !== 'PUT') continue;
      size += entry.value.byteLength;
      const full = size > PAGE_BYTES || entries.length === MAX_STATE_ENTRIES;
      if (full && entries.length > 0) return { entries, more: true };
      entries.push({ key, bytes: entry.value, revision: entry.revision });
    }
    return { entries, more: false };
  }

  #kv(bucket: string): Promise<KV> {
    const cached = this.#kvs.get(bucket);
    if (cached) return cached;
    const js = this.#nc.jetstream({ timeout: TIMEOUT_MS, checkAPI: false });
    const kv = js.views.kv(bucket, bucketOf(bucket as BucketName) as Partial<KvOptions>);
    this.#kvs.set(bucket, kv);
    kv.catch(() => this.#kvs.delete(bucket));
    return kv;
  }

  #archive(): Archive {
    const { name } = streams.events;
    const getMessage = async (query: { last_by_subj: string } | { seq: number }) => {
      try {
        return await (await this.#manager()).streams.getMessage(name, query);
      } catch (error) {
        if (codeOf(error) === NO_MESSAGE) return undefined;
        throw error;
      }
    };
    return {
      bounds: async () => {
        const { created, state } = await (await this.#manager()).streams.info(name);
        // A stream that never held an event reports 0.
        return { first: Math.max(1, state.first_seq), last: state.last_seq, made: created };
      },
      last: async (subject) => (await getMessage({ last_by_subj: subject }))?.seq,
      idAt: async (sequence) => {
        const message = await getMessage({ seq: sequence });
        return message && readEvent(message.data)?.id;
      },
      read: ({ from, subject, waitMs, limit }) =>
        this.page({ from, subject, waitMs, limit, maxBytes: PAGE_BYTES }, USER),
    };
  }

  #queueDeps(name: ConsumerName) {
    const { stream, subject } = consumers[name];
    const nc = this.#nc;
    return {
      submit: async (bytes: Uint8Array) => {
        await nc.jetstream({ timeout: TIMEOUT_MS }).publish(subject, bytes);
      },
      pull: async (waitMs: number) => {
        const { signal } = this.#connected;
        const [message] = await this.#pull({ stream, name }, { batch: 1, waitMs }).catch(async (error) => {
          if (!signal.aborted && !this.#isClosing) await this.#recreate();
          throw error;
        });
        return message;
      },
      confirm: async (token: string) => {
        await nc.request(token, '+ACK', { timeout: APPEND_MS });
      },
      publish: (token: string, word: string) => nc.publish(token, word),
      count: async () => {
        const info = await (await this.#manager()).consumers.info(stream, name);
        return info.num_pending + info.num_ack_pending;
      },
    };
  }

  #pull(consumer: { stream: string; name: string }, options: PullOptions) {
    return pull(this.#nc, USER, consumer, options, this.#connected.signal);
  }

  /** Creates a consumer of the stream of events. @returns its name */
  async #addConsumer(config: object): Promise<string> {
    const { name } = await (await this.#manager()).consumers.add(streams.events.name, config as never);
    this.#consumers.add(name);
    return name;
  }

  #dropConsumer(name: string): void {
    this.#consumers.delete(name);
    this.#manager()
      .then((manager) => manager.consumers.delete(streams.events.name, name))
      .catch(() => {});
  }

  #manager = (): Promise<JetStreamManager> =>
    this.#nc.jetstreamManager({ timeout: TIMEOUT_MS, checkAPI: false });
}

const NO_MESSAGE = 10037;
const WRONG_LAST_SEQUENCE = 10071;
const codeOf = (error: unknown) => (error as { api_error?: { err_code: number } }).api_error?.err_code;
