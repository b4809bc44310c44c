import type { JetStreamManager, KV, KvOptions, NatsConnection } from 'nats';
import { readEvent } from '../contract/envelope.ts';
import type { Log } from '../contract/log.ts';
import type { Archive, Stored } from './archive.ts';
import { EventReaders, type PageQuery, readerOf } from './event-readers.ts';
import { type Dropped, JobQueue } from './job-queue.ts';
import { type PullOptions, pull } from './pull.ts';
import type { Bucket, Listed, Queue, Store } from './store.ts';
import { MAX_ENTRIES, PAGE_BYTES } from './store-requests.ts';
import { type Room, roomOf } from './stream-room.ts';
import { type BucketName, buckets, type ConsumerName, consumers, streams } from './streams.ts';
import { bucketOf, ensureStream, ensureTable, makeTable, streamOfBucket } from './table.ts';

const TIMEOUT_MS = 5_000;
const APPEND_MS = 2_000;
/** The user that JetStream answers: no other may say its subjects. */
const USER = 'storage';

/** What JetStream keeps, for storage. */
export class JetStreamStore implements Store {
  readonly archive: Archive;
  readonly room: Room;
  readonly #nc: NatsConnection;
  readonly #log: Log;
  readonly #readers: EventReaders;
  /** Consumers of this process. */
  readonly #made = new Set<string>();
  readonly #queues: Record<ConsumerName, JobQueue>;
  readonly #kvs = new Map<string, Promise<KV>>();
  #eventsMs: number | undefined;
  #remaking: Promise<void> | undefined;
  #connected = new AbortController();

  constructor(nc: NatsConnection, dropped: (dropped: Dropped) => void, log: Log) {
    this.#nc = nc;
    this.#log = log;
    const { name: stream } = streams.events;
    this.#readers = new EventReaders({
      make: (from, subject) => this.#make(readerOf(from, subject)),
      pull: (name, options) => this.#pull({ stream, name }, options),
      drop: (name) => this.#drop(name),
    });
    const queue = (name: ConsumerName) => new JobQueue(name, this.#line(name), dropped, log);
    this.#queues = { down: queue('down'), up: queue('up') };
    this.archive = this.#archive();
    this.room = roomOf({
      info: async (filter) =>
        (await this.#manager()).streams.info(stream, filter ? { subjects_filter: filter } : {}),
      purge: async (options) => (await this.#manager()).streams.purge(stream, options),
      makeConsumer: (config) => this.#make(config),
      dropConsumer: (name) => this.#drop(name),
      pull: (name, options) => this.#pull({ stream, name }, options),
    });
  }

  /** The connection has broken: nothing comes of what was asked for over it. */
  broke(): void {
    this.#connected.abort(new Error('the connection to the bus has broken'));
    this.#connected = new AbortController();
  }

  async append(subject: string, id: string, bytes: Uint8Array): Promise<number> {
    const js = this.#nc.jetstream({ timeout: TIMEOUT_MS, checkAPI: false });
    // Whoever may say one subject can make no event of another one count as said already.
    const msgID = `${subject} ${id}`;
    return (await js.publish(subject, bytes, { msgID, timeout: APPEND_MS })).seq;
  }

  queue(name: ConsumerName): Queue {
    return this.#queues[name];
  }

  /** Events of the stream, for a user of the bus. */
  page(query: PageQuery, user: string): Promise<Stored[]> {
    return this.#readers.page(query, user);
  }

  /** From now on events are kept for so many ms, also by a server that comes back without its store. */
  async keepEvents(ms: number): Promise<void> {
    this.#eventsMs = ms;
    await ensureStream((await this.#manager()) as never, streams.events, ms);
  }

  /** Makes what is missing of the table of streams, and ends what is not in it. Fails only into the log: all of it can be tried again. */
  async ensure(): Promise<void> {
    this.#kvs.clear();
    this.#readers.forget();
    this.#made.clear();
    try {
      const own = (name: string) => this.#made.has(name);
      await ensureTable((await this.#manager()) as never, this.#eventsMs, own, this.#log);
      for (const bucket of Object.keys(buckets)) await this.#kv(bucket);
    } catch (err) {
      this.#log.warn({ err }, 'streams could not be made ready');
    }
  }

  /** Makes what the server has lost while it ran; whoever reads events goes on. One at a time. */
  #remake(): Promise<void> {
    this.#remaking ??= this.#manager()
      .then((manager) => makeTable(manager as never, this.#eventsMs))
      .catch((err) => this.#log.warn({ err }, 'streams could not be made ready'))
      .finally(() => {
        this.#remaking = undefined;
      });
    return this.#remaking;
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
    // Without a consumer: the server tells the subjects of the stream.
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
      const full = size > PAGE_BYTES || entries.length === MAX_ENTRIES;
      if (full && entries.length > 0) return { entries, more: true };
      entries.push({ key, bytes: entry.value, revision: entry.revision });
    }
    return { entries, more: false };
  }

  #kv(bucket: string): Promise<KV> {
    const known = this.#kvs.get(bucket);
    if (known) return known;
    const js = this.#nc.jetstream({ timeout: TIMEOUT_MS, checkAPI: false });
    const kv = js.views.kv(bucket, bucketOf(bucket as BucketName) as Partial<KvOptions>);
    this.#kvs.set(bucket, kv);
    kv.catch(() => this.#kvs.delete(bucket));
    return kv;
  }

  #archive(): Archive {
    const { name } = streams.events;
    const one = async (query: { last_by_subj: string } | { seq: number }) => {
      try {
        return await (await this.#manager()).streams.getMessage(name, query);
      } catch (error) {
        if (codeOf(error) === NO_MESSAGE) return undefined;
        throw error;
      }
    };
    return {
      kept: async () => {
        const { created, state } = await (await this.#manager()).streams.info(name);
        // A stream that never held anything says 0.
        return { first: Math.max(1, state.first_seq), last: state.last_seq, made: created };
      },
      last: async (subject) => (await one({ last_by_subj: subject }))?.seq,
      idAt: async (sequence) => {
        const found = await one({ seq: sequence });
        return found && readEvent(found.data)?.id;
      },
      read: ({ from, subject, waitMs, limit }) =>
        this.page({ from, subject, waitMs, limit, maxBytes: PAGE_BYTES }, USER),
    };
  }

  #line(name: ConsumerName) {
    const { stream, subject } = consumers[name];
    const nc = this.#nc;
    return {
      submit: async (bytes: Uint8Array) => {
        await nc.jetstream({ timeout: TIMEOUT_MS }).publish(subject, bytes);
      },
      pull: async (waitMs: number) => {
        const { signal } = this.#connected;
        const found = await this.#pull({ stream, name }, { batch: 1, waitMs }).catch(async (error) => {
          if (!signal.aborted) await this.#remake();
          throw error;
        });
        return found[0];
      },
      confirm: async (token: string) => {
        await nc.request(token, '+ACK', { timeout: APPEND_MS });
      },
      say: (token: string, word: string) => nc.publish(token, word),
      count: async () => {
        const info = await (await this.#manager()).consumers.info(stream, name);
        return info.num_pending + info.num_ack_pending;
      },
    };
  }

  #pull(consumer: { stream: string; name: string }, options: PullOptions) {
    return pull(this.#nc, USER, consumer, options, this.#connected.signal);
  }

  /** A consumer of the stream of events. */
  async #make(config: object): Promise<string> {
    const { name } = await (await this.#manager()).consumers.add(streams.events.name, config as never);
    this.#made.add(name);
    return name;
  }

  #drop(name: string): void {
    this.#made.delete(name);
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
