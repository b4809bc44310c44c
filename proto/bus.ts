import { setTimeout as sleep } from 'node:timers/promises';
import type { Static, TSchema } from '@sinclair/typebox';
import {
  AckPolicy,
  connect,
  createInbox,
  headers,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type KV,
  type Msg,
  type NatsConnection,
  nanos,
  RetentionPolicy,
  StorageType,
} from 'nats';
import { inboxOf, type UserName } from './access.ts';
import { type Event, type Job, pack, type Request, type State, unpack } from './contract.ts';
import { Envelope, type Heard } from './envelope.ts';
import { Fault, fromWire, toWire, WireFault } from './fault.ts';
import { Outbox } from './outbox.ts';
import { type BucketName, buckets, type ConsumerName, consumers, streams } from './streams.ts';

/** The part of a pino logger that the bus uses. */
export type Log = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

export type BusOptions = {
  url: string;
  user: UserName;
  password: string;
  /** The name of the layer and of this process, for the source of its events. */
  layer: string;
  instance: string;
  log: Log;
};

export type CallOptions = {
  signal?: AbortSignal;
  /** How long to go on asking while nobody serves the request, in ms. Safe: such a request reached nobody. */
  patience?: number;
};

/** Whoever answers shows a sign of life each second while it works; a caller gives up after this much silence. */
const SIGN_OF_LIFE_MS = 1_000;
const SILENCE_MS = 6_000;
const KIND = 'Terrace-Kind';

type Pending = { settle(message: Msg): void; alive(): void; fail(error: Fault): void };
export type Verdict = 'done' | { again: number };
export type Worker<T> = (body: T, attempt: number) => Promise<Verdict>;
/** A value with the revision that a conditional write names. */
export type Entry<T> = { value: T; revision: number };

/** The only module that knows NATS. */
export class Bus implements AsyncDisposable {
  readonly #nc: NatsConnection;
  readonly #js: JetStreamClient;
  readonly #options: BusOptions;
  readonly #inbox: string;
  readonly #pending = new Map<string, Pending>();
  readonly #refreshers = new Set<() => void>();
  readonly #outbox: Outbox<{ subject: string; id: string; bytes: Uint8Array }>;
  readonly #kvs = new Map<string, Promise<KV>>();
  readonly #timer: NodeJS.Timeout;
  #serial = 0;

  /** Waits for the server as long as it takes; after that, the connection is kept up by itself. */
  static async connect(options: BusOptions): Promise<Bus> {
    const nc = await connect({
      servers: options.url,
      user: options.user,
      pass: options.password,
      name: options.instance,
      inboxPrefix: inboxOf(options.user),
      waitOnFirstConnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 250,
      pingInterval: 10_000,
      maxPingOut: 2,
    });
    const bus = new Bus(nc, options);
    await bus.#ensure();
    return bus;
  }

  private constructor(nc: NatsConnection, options: BusOptions) {
    this.#nc = nc;
    this.#js = nc.jetstream({ timeout: 5_000 });
    this.#options = options;
    this.#inbox = createInbox(inboxOf(options.user));
    this.#outbox = new Outbox(
      async ({ subject, id, bytes }) => {
        await this.#js.publish(subject, bytes, { msgID: id, timeout: 5_000 });
      },
      (count, err) => options.log.warn({ err, count }, 'events were dropped'),
    );
    nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (!error) this.#settle(message);
      },
    });
    this.#timer = setInterval(() => this.#refresh(), 15_000).unref();
    void this.#follow();
  }

  /** Resolves when the connection is gone for good. */
  closed(): Promise<void | Error> {
    return this.#nc.closed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.race([this.#outbox.close(), sleep(2_000, undefined, { ref: false })]);
    await Promise.race([this.#nc.drain().catch(() => {}), sleep(2_000, undefined, { ref: false })]);
    await this.#nc.close();
  }

  // ── requests ────────────────────────────────────────────────────────────────────────────────────────────────

  /** @throws Fault: the one that the other side answered, or `unavailable` */
  async call<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    query: Static<Q>,
    { signal, patience = 5_000 }: CallOptions = {},
  ): Promise<Static<R>> {
    const bytes = pack(query);
    const deadline = Date.now() + patience;
    for (;;) {
      signal?.throwIfAborted();
      const message = await this.#ask(contract.subject, bytes, signal);
      if (message) {
        if (message.headers?.get(KIND) === 'fault') throw fromWire(unpack(WireFault, message.data));
        return unpack(contract.reply, message.data);
      }
      if (Date.now() >= deadline) throw new Fault('unavailable', `nobody answers ${contract.subject}`);
      await sleep(50 + Math.random() * 200, undefined, signal ? { signal } : {});
    }
  }

  /** One question; `undefined` where nobody serves it. */
  #ask(subject: string, bytes: Uint8Array, signal?: AbortSignal): Promise<Msg | undefined> {
    this.#serial += 1;
    const id = String(this.#serial);
    return new Promise<Msg | undefined>((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        this.#pending.delete(id);
        signal?.removeEventListener('abort', aborted);
      };
      const fail = (error: unknown) => {
        end();
        reject(error as Error);
      };
      const aborted = () => fail(signal?.reason);
      const silent = () => fail(new Fault('unavailable', `${subject} was not answered in ${SILENCE_MS} ms`));
      const timer = setTimeout(silent, SILENCE_MS);
      signal?.addEventListener('abort', aborted, { once: true });
      this.#pending.set(id, {
        alive: () => timer.refresh(),
        fail,
        settle: (message) => {
          end();
          resolve(message.headers?.code === 503 && message.data.length === 0 ? undefined : message);
        },
      });
      try {
        this.#nc.publish(subject, bytes, { reply: `${this.#inbox}.${id}` });
      } catch (cause) {
        fail(new Fault('unavailable', 'the bus is closed', { cause }));
      }
    });
  }

  #settle(message: Msg): void {
    const pending = this.#pending.get(message.subject.slice(this.#inbox.length + 1));
    if (message.headers?.get(KIND) === 'working') pending?.alive();
    else pending?.settle(message);
  }

  /** Answers the request in every process that serves it, one of them for each question, several at a time. */
  serve<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    handler: (query: Static<Q>) => Promise<Static<R>>,
  ): () => void {
    const subscription = this.#nc.subscribe(contract.subject, {
      queue: this.#options.user,
      callback: (error, message) => {
        if (!error) void this.#answer(contract, handler, message);
      },
    });
    return () => subscription.unsubscribe();
  }

  async #answer<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    handler: (query: Static<Q>) => Promise<Static<R>>,
    message: Msg,
  ): Promise<void> {
    const alive = setInterval(() => respond(message, new Uint8Array(), 'working'), SIGN_OF_LIFE_MS);
    try {
      respond(message, pack(await handler(unpack(contract.query, message.data))));
    } catch (error) {
      const wire = toWire(error);
      if (wire.code === 'internal' || wire.code === 'no-space') {
        this.#options.log.error({ err: error, subject: contract.subject }, 'a request failed');
      }
      respond(message, pack(wire), 'fault');
    } finally {
      clearInterval(alive);
    }
  }

  // ── events ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Never fails and never waits: an event that can't be stored is dropped after a while, and logged. */
  publish<T extends TSchema>(event: Event<T>, data: Static<T>): void {
    this.#serial += 1;
    const { layer, instance } = this.#options;
    const id = `${instance}-${this.#serial}`;
    const envelope: Envelope = {
      specversion: '1.0',
      id,
      source: `/layers/${layer}/${instance}`,
      type: `terrace.${event.type}`,
      time: new Date().toISOString(),
      data,
    };
    this.#outbox.add({ subject: `events.${event.type}`, id, bytes: pack(envelope) });
  }

  /** Hears an event from now on. Returns what ends it. */
  listen<T extends TSchema>(event: Event<T>, handler: (heard: Heard<Static<T>>) => void): () => void {
    const subscription = this.#nc.subscribe(`events.${event.type}`, {
      callback: (error, message) => {
        if (error) return;
        try {
          const envelope = unpack(Envelope, message.data);
          handler({ ...envelope, data: unpack(event.data, pack(envelope.data)) });
        } catch (err) {
          this.#options.log.warn({ err, event: event.type }, 'an event could not be handled');
        }
      },
    });
    return () => subscription.unsubscribe();
  }

  /** Resolves when everything said so far has reached the server, subscriptions included. */
  flush(): Promise<void> {
    return this.#nc.flush();
  }

  // ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** @throws Fault `unavailable` when the queue did not confirm it */
  async submit<T extends TSchema>(job: Job<T>, body: Static<T>): Promise<void> {
    try {
      await this.#js.publish(job.subject, pack(body), { timeout: 5_000 });
    } catch (cause) {
      throw new Fault('unavailable', `the queue did not take ${job.subject}`, { cause });
    }
  }

  /**
   * Takes one job after another until `signal` ends it; call it once for each slot. A job whose handler throws, or
   * whose worker disappears, is given out again.
   */
  async work<T extends TSchema>(
    consumer: ConsumerName,
    job: Job<T>,
    signal: AbortSignal,
    handler: Worker<Static<T>>,
  ): Promise<void> {
    const { stream, name, ackWaitMs } = consumers[consumer];
    let failures = 0;
    while (!signal.aborted) {
      try {
        const queue = await this.#js.consumers.get(stream, name);
        while (!signal.aborted) {
          const message = await queue.next({ expires: 2_000 });
          failures = 0;
          if (message) await this.#handle(message, job, ackWaitMs, handler);
        }
      } catch (err) {
        if (signal.aborted || this.#nc.isClosed()) return;
        failures += 1;
        const ms = Math.min(5_000, 200 * 2 ** failures) * (0.5 + Math.random() / 2);
        this.#options.log.warn({ err, consumer, ms }, 'the queue does not answer; trying again');
        await sleep(ms, undefined, { signal }).catch(() => {});
        if (!signal.aborted) await this.#ensure();
      }
    }
  }

  /** How many jobs wait for a worker or are with one. */
  async backlog(consumer: ConsumerName): Promise<number> {
    const { stream, name } = consumers[consumer];
    const manager = await this.#nc.jetstreamManager({ timeout: 5_000 });
    const info = await manager.consumers.info(stream, name);
    return info.num_pending + info.num_ack_pending;
  }

  async #handle<T extends TSchema>(
    message: JsMsg,
    job: Job<T>,
    ackWaitMs: number,
    handler: Worker<Static<T>>,
  ) {
    const beat = setInterval(() => message.working(), ackWaitMs / 4);
    try {
      const verdict = await handler(unpack(job.body, message.data), message.info.redeliveryCount);
      if (verdict === 'done') await message.ackAck().catch(() => message.ack());
      else message.nak(verdict.again);
    } catch (err) {
      this.#options.log.error({ err, subject: job.subject }, 'a job failed');
      if (Fault.is(err, 'malformed')) message.term();
      else message.nak(2_000 + Math.random() * 2_000);
    } finally {
      clearInterval(beat);
    }
  }

  // ── states ──────────────────────────────────────────────────────────────────────────────────────────────────

  async get<T extends TSchema>(state: State<T>, key: string): Promise<Entry<Static<T>> | undefined> {
    const entry = await (await this.#kv(state)).get(key);
    if (!entry || entry.operation !== 'PUT') return undefined;
    return { value: unpack(state.value, entry.value), revision: entry.revision };
  }

  async put<T extends TSchema>(state: State<T>, key: string, value: Static<T>): Promise<void> {
    await (await this.#kv(state)).put(key, pack(value));
  }

  /**
   * Writes only where `revision` is the last one (0: where there is none).
   * @returns the new revision, or `undefined` where somebody else was first
   */
  async swap<T extends TSchema>(
    state: State<T>,
    key: string,
    value: Static<T>,
    revision: number,
  ): Promise<number | undefined> {
    const kv = await this.#kv(state);
    try {
      return await (revision === 0 ? kv.create(key, pack(value)) : kv.update(key, pack(value), revision));
    } catch (error) {
      // JetStream error 10071: wrong last sequence.
      if ((error as { api_error?: { err_code: number } }).api_error?.err_code === 10071) return undefined;
      throw error;
    }
  }

  async remove<T extends TSchema>(state: State<T>, key: string): Promise<void> {
    await (await this.#kv(state)).delete(key);
  }

  /** All entries of a state, by key. */
  async list<T extends TSchema>(state: State<T>): Promise<Map<string, Static<T>>> {
    const kv = await this.#kv(state);
    const keys: string[] = [];
    // The iterator drops what arrives while its consumer awaits something else.
    for await (const key of await kv.keys()) keys.push(key);
    const found = new Map<string, Static<T>>();
    for (const key of keys) {
      const entry = await this.get(state, key);
      if (entry) found.set(key, entry.value);
    }
    return found;
  }

  /**
   * Calls the handler with the value as it is now (`undefined`: there is none) and each time it has changed. It reads
   * again after every reconnection and now and then, so it outlives the loss of the server and of its store.
   */
  watch<T extends TSchema>(
    state: State<T>,
    key: string,
    handler: (value: Static<T> | undefined) => void,
  ): () => void {
    let last: string | undefined;
    let writes = 0;
    const tell = (bytes: Uint8Array | undefined) => {
      const print = bytes ? Buffer.from(bytes).toString('base64') : '';
      if (print === last) return;
      last = print;
      try {
        handler(bytes ? unpack(state.value, bytes) : undefined);
      } catch (err) {
        this.#options.log.warn({ err, bucket: state.bucket, key }, 'a state could not be handled');
      }
    };
    const read = async () => {
      const before = writes;
      try {
        const entry = await (await this.#kv(state)).get(key);
        if (before === writes) tell(entry?.operation === 'PUT' ? entry.value : undefined);
      } catch (err) {
        this.#options.log.debug({ err, bucket: state.bucket, key }, 'a state could not be read');
      }
    };
    const subscription = this.#nc.subscribe(`$KV.${state.bucket}.${key}`, {
      callback: (error, message) => {
        if (error) return;
        writes += 1;
        tell(message.headers?.get('KV-Operation') ? undefined : message.data);
      },
    });
    const refresh = () => void read();
    this.#refreshers.add(refresh);
    refresh();
    return () => {
      this.#refreshers.delete(refresh);
      subscription.unsubscribe();
    };
  }

  #kv(state: State): Promise<KV> {
    const known = this.#kvs.get(state.bucket);
    if (known) return known;
    const { storage, ttlMs } = buckets[state.bucket as BucketName];
    const kv = this.#js.views.kv(state.bucket, {
      history: 1,
      storage: storage === 'file' ? StorageType.File : StorageType.Memory,
      ...(ttlMs && { ttl: ttlMs }),
    });
    this.#kvs.set(state.bucket, kv);
    kv.catch(() => this.#kvs.delete(state.bucket));
    return kv;
  }

  // ── the connection ──────────────────────────────────────────────────────────────────────────────────────────

  async #follow(): Promise<void> {
    const { log } = this.#options;
    for await (const status of this.#nc.status()) {
      if (status.type === 'disconnect') log.warn({}, 'the bus is away');
      if (status.type === 'error') log.error({ detail: String(status.data) }, 'the bus refused something');
      if (status.type === 'reconnect') {
        log.info({}, 'the bus is back');
        void this.#ensure().then(() => this.#refresh());
      }
    }
  }

  #refresh(): void {
    for (const refresh of this.#refreshers) refresh();
  }

  /** Makes what is missing of the table of streams. Fails only into the log: all of it can be tried again. */
  async #ensure(): Promise<void> {
    this.#kvs.clear();
    try {
      const manager = await this.#nc.jetstreamManager({ timeout: 5_000 });
      for (const stream of Object.values(streams)) await ensureStream(manager, stream);
      for (const { stream, name, subject, ackWaitMs } of Object.values(consumers)) {
        await manager.consumers.add(stream, {
          durable_name: name,
          filter_subject: subject,
          ack_policy: AckPolicy.Explicit,
          ack_wait: nanos(ackWaitMs),
          max_ack_pending: 1_000,
        });
      }
      for (const bucket of Object.keys(buckets)) await this.#kv({ kind: 'state', bucket } as State);
    } catch (err) {
      this.#options.log.warn({ err }, 'streams could not be made ready');
    }
  }
}

async function ensureStream(manager: JetStreamManager, stream: (typeof streams)[keyof typeof streams]) {
  const { name, subjects, retention, maxAgeMs, maxBytes } = stream;
  const limits = { subjects: [...subjects], max_age: nanos(maxAgeMs), max_bytes: maxBytes };
  const found = await manager.streams.info(name).catch(() => undefined);
  if (found) return;
  await manager.streams.add({
    name,
    ...limits,
    storage: StorageType.File,
    retention: retention === 'workqueue' ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
  });
}

function respond(message: Msg, bytes: Uint8Array, kind?: 'working' | 'fault'): void {
  if (!message.reply) return;
  try {
    if (!kind) message.respond(bytes);
    else {
      const head = headers();
      head.set(KIND, kind);
      message.respond(bytes, { headers: head });
    }
  } catch {
    // The connection is closed: the caller finds out by the silence.
  }
}
