import { setTimeout as sleep } from 'node:timers/promises';
import type { Static, TSchema } from '@sinclair/typebox';
import { connect, createInbox, headers, type Msg, type NatsConnection, type Subscription } from 'nats';
import { storageStarted } from '../content/content-events.ts';
import { pack, type Request, unpack } from '../contract/contract.ts';
import { Fault, fromWire, WireFault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import { inboxOf, type UserName } from '../contract/users.ts';
import type { Archive } from '../jetstream/archive.ts';
import { JetStreamStore } from '../jetstream/jetstream-store.ts';
import type { Store } from '../jetstream/store.ts';
import type { Room } from '../jetstream/stream-room.ts';
import type { ConsumerName } from '../jetstream/streams.ts';
import { writeOf } from '../jetstream/table.ts';
import { layersBelow } from '../status/layers-below.ts';
import { type Caller, ON_BEHALF } from './caller.ts';
import { asAnswer, type CallOptions, Calls } from './calls.ts';
import { Events, type StoredEvent } from './events.ts';
import { type HistoryOptions, type Past, readHistory } from './history.ts';
import { Invalidations } from './invalidations.ts';
import { Jobs, jobDropped, type Verdict, type Worker } from './jobs.ts';
import { Relay } from './relay.ts';
import { Answers } from './responder.ts';
import { REFRESH_MS, States } from './states.ts';
import { storeBy } from './store-client.ts';
import { type ServeStore, serveStore } from './store-server.ts';

export type { Log, Verdict, Worker };

export type BusOptions = {
  url: string;
  user: UserName;
  password: string;
  /** The name of the layer and of this process, for the source of its events. */
  layer: string;
  instance: string;
  log: Log;
  /** Who uses this connection, where a person does. */
  person?: string | undefined;
  /** Other limits than those of `calls.ts`: for tests. */
  limits?: { signOfLifeMs: number; silenceMs: number };
};

const KIND = 'Terrace-Kind';

/** One connection to the bus, as one user of it. */
export class Bus implements AsyncDisposable {
  readonly #nc: NatsConnection;
  readonly #options: BusOptions;
  readonly #inbox: string;
  readonly #calls: Calls<Msg>;
  readonly #events: Events;
  readonly #states: States;
  readonly #store: Store;
  /** Of storage, which reaches JetStream itself. */
  readonly #own: JetStreamStore | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #atOnce: Invalidations;
  readonly #answers: Answers;
  #away = false;

  /** The stream of events. */
  readonly archive: Archive;
  /** What the layers below tell. */
  readonly relay: Relay;
  readonly publish: Events['publish'];
  readonly listen: Events['listen'];
  readonly onInvalidation: Invalidations['onInvalidation'];
  readonly onGap: Invalidations['onGap'];
  readonly submit: Jobs['submit'];
  readonly work: Jobs['work'];
  readonly get: States['get'];
  readonly put: States['put'];
  readonly swap: States['swap'];
  readonly remove: States['remove'];
  readonly list: States['list'];
  readonly unreadable: States['unreadable'];
  readonly watch: States['watch'];

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
    await bus.#own?.ensure();
    bus.#serveStore();
    return bus;
  }

  private constructor(nc: NatsConnection, options: BusOptions) {
    this.#nc = nc;
    this.#options = options;
    this.#inbox = createInbox(inboxOf(options.user));
    this.#calls = new Calls(options.limits?.silenceMs);
    this.#hear(`${this.#inbox}.*`, (message) => {
      const id = message.subject.slice(this.#inbox.length + 1);
      if (message.headers?.get(KIND) === 'working') this.#calls.alive(id);
      else this.#calls.settle(id, message);
    });
    const hear = (subject: string, heard: (bytes: Uint8Array) => void) =>
      this.#hear(subject, ({ data }) => heard(data));
    this.#atOnce = new Invalidations({ say: (subject, bytes) => nc.publish(subject, bytes), hear });
    this.#answers = new Answers({
      hear: (subject, heard) => this.#subscribe(subject, heard, options.user),
      inbox: this.#inbox,
      calls: this.#calls,
      header: (kind) => header(KIND, kind),
      after: (reply) => this.#atOnce.after(reply),
      log: options.log,
      signOfLifeMs: options.limits?.signOfLifeMs,
    });
    this.onInvalidation = this.#atOnce.onInvalidation.bind(this.#atOnce);
    this.onGap = this.#atOnce.onGap.bind(this.#atOnce);
    this.#own =
      options.user === 'storage'
        ? new JetStreamStore(nc, (dropped) => this.publish(jobDropped, dropped), options.log)
        : undefined;
    // Services wait for each other; a person wants to know that storage is away.
    const patience = options.user === 'operator' ? 1_000 : 5_000;
    this.#store = this.#own ?? storeBy(this.call.bind(this), patience);
    const send = (subject: string, id: string, bytes: Uint8Array) => this.#store.append(subject, id, bytes);
    this.#events = new Events(options, { send, say: this.#atOnce.say.bind(this.#atOnce), hear });
    this.publish = this.#events.publish.bind(this.#events);
    this.listen = this.#events.listen.bind(this.#events);
    this.archive = this.#store.archive;
    this.relay = new Relay(this.archive, send);
    const closed = new AbortController();
    void nc.closed().then(() => closed.abort());
    const jobs = new Jobs({ queue: (name) => this.#store.queue(name), closed: closed.signal }, options.log);
    this.submit = jobs.submit.bind(jobs);
    this.work = jobs.work.bind(jobs);
    // Who waits for a job may rest long with storage, which may be killed then.
    if (options.user === 'syncer') this.listen(storageStarted, () => this.#calls.restarted());
    this.#states = new States(
      {
        bucket: (name) => this.#store.bucket(name),
        hear: (bucket, key, heard) =>
          this.#hear(`$KV.${bucket}.${key}`, ({ headers: head, data }) => heard(writeOf(head, data))),
      },
      options.log,
    );
    this.get = this.#states.get.bind(this.#states);
    this.put = this.#states.put.bind(this.#states);
    this.swap = this.#states.swap.bind(this.#states);
    this.remove = this.#states.remove.bind(this.#states);
    this.list = this.#states.list.bind(this.#states);
    this.unreadable = this.#states.unreadable.bind(this.#states);
    this.watch = this.#states.watch.bind(this.#states);
    this.#timer = setInterval(() => this.#states.refresh(), REFRESH_MS).unref();
    void this.#follow();
  }

  /** Of the nats-server that this is connected to. */
  serverVersion = (): string => this.#nc.info?.version ?? 'unknown';

  /** Resolves when the connection is gone for good, with the error that ended it, if any. */
  closed = async (): Promise<Error | undefined> => (await this.#nc.closed()) ?? undefined;

  /** Of the stream of events; only storage makes any. */
  get room(): Room {
    if (!this.#own) throw new Error('only storage makes room in the history');
    return this.#own.room;
  }

  /** Resolves when all said so far has reached the server, and all that it had for us then has been heard. */
  flush(): Promise<void> {
    return this.#nc.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.race([this.#events.close(), sleep(2_000, undefined, { ref: false })]);
    await Promise.race([this.#nc.drain().catch(() => {}), sleep(2_000, undefined, { ref: false })]);
    await this.#nc.close();
    this.#calls.close();
  }

  /** Returns what ends it. */
  #hear(subject: string, heard: (message: Msg) => void): () => void {
    const subscription = this.#subscribe(subject, heard);
    return () => subscription.unsubscribe();
  }

  #subscribe(subject: string, heard: (message: Msg) => void, queue?: string): Subscription {
    const callback = (error: unknown, message: Msg) => error || heard(message);
    return this.#nc.subscribe(subject, queue ? { queue, callback } : { callback });
  }

  /** @throws Fault: the one that the other side answered, or `unavailable`; the reason of `signal` */
  async call<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    query: Static<Q>,
    { signal, patience = 5_000, behalf = this.#options.person, ...how }: CallOptions = {},
  ): Promise<Static<R>> {
    const bytes = pack(contract.query, query);
    const deadline = Date.now() + patience;
    const head = behalf ? { headers: header(ON_BEHALF, behalf) } : {};
    for (;;) {
      signal?.throwIfAborted();
      const ask = (id: string) => {
        this.#nc.publish(contract.subject, bytes, { reply: `${this.#inbox}.${id}`, ...head });
      };
      // What is said while the connection is away is lost.
      const message = this.#away ? undefined : await this.#calls.open(contract.subject, signal, ask, how);
      const nobody = message?.headers?.code === 503 && message.data.length === 0;
      if (message && !nobody) {
        if (message.headers?.get(KIND) === 'fault') throw fromWire(unpack(WireFault, message.data));
        return asAnswer(contract.subject, () => unpack(contract.reply, message.data));
      }
      if (Date.now() >= deadline) throw new Fault('unavailable', `nobody answers ${contract.subject}`);
      const wait = sleep(50 + Math.random() * 200, undefined, signal ? { signal } : {});
      await wait.catch(() => signal?.throwIfAborted());
    }
  }

  /**
   * Answers the request in every process that serves it, one of them for each question, several at a time. What it
   * returns ends that, when the handler has been given every question that was on its way here: nobody else gets those.
   */
  serve<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    handler: (query: Static<Q>, caller: Caller) => Promise<Static<R>>,
  ): () => Promise<void> {
    const subscription = this.#answers.serve(contract, (query, { caller }) => handler(query, caller));
    return () => subscription.drain().catch(() => {});
  }

  #serveStore(): void {
    if (!this.#own) return;
    const serve: ServeStore = (contract, handler, { quiet }) =>
      void this.#answers.serve(contract, handler, quiet);
    serveStore(serve, this.#own);
  }

  /** How many jobs wait for a worker or are with one. */
  backlog(queue: ConsumerName): Promise<number> {
    return this.#store.queue(queue).backlog();
  }

  /** For storage: from now on events are kept for so many ms, also by a server that comes back without its store. */
  async keepEvents(ms: number): Promise<void> {
    await this.#own?.keepEvents(ms);
  }

  /** What has happened, as far as it is kept. @throws Fault `unavailable` */
  history(options: HistoryOptions): AsyncGenerator<Past> {
    return readHistory(this.archive, options, this.#options.log);
  }

  /** The last event of this connection that the stream has taken. */
  stored = (): StoredEvent | undefined => this.#events.stored;

  /** Hears that something more happened here or below, or that a layer below told how it stands. Returns what ends it. */
  onNews(heard: () => void): () => void {
    const ends = ['events.>', 'below.>', `$KV.${layersBelow.bucket}.>`].map((subject) =>
      this.#hear(subject, heard),
    );
    return () => ends.forEach((end) => void end());
  }

  async #follow(): Promise<void> {
    const { log } = this.#options;
    for await (const status of this.#nc.status()) {
      if (status.type === 'disconnect') {
        this.#away = true;
        this.#atOnce.broke();
        this.#calls.broke();
        this.#own?.broke();
        log.warn({}, 'the bus is away');
      }
      if (status.type === 'error') {
        log.error({ detail: String(status.data) }, 'the bus refused something');
        const { operation, subject } = status.permissionContext ?? {};
        if (operation === 'publish' && subject) this.#calls.refuse(subject);
      }
      if (status.type === 'reconnect') {
        this.#away = false;
        this.#atOnce.mended();
        log.info({ notice: true }, 'the bus is back');
        void Promise.resolve(this.#own?.ensure()).then(() => this.#states.refresh());
      }
    }
  }
}

function header(name: string, value: string) {
  const head = headers();
  head.set(name, value);
  return head;
}
