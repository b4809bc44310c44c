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
import { Responder } from './responder.ts';
import { REFRESH_MS, States } from './states.ts';
import { storeBy } from './store-client.ts';
import { type ServeStore, serveStore } from './store-server.ts';

/**
 * The bus: how the processes of a layer communicate over NATS, by the four kinds of message that `contract.ts`
 * declares: requests (`calls.ts`, `responder.ts`), jobs (`jobs.ts`), events (`events.ts`, `history.ts`, `relay.ts`) and
 * states (`states.ts`). `permissions.ts` says which subjects each user may use.
 *
 * A process has one `Bus`. `connect` waits for the server; the connection then reconnects by itself. Storage alone uses
 * JetStream: it creates the streams and serves them (`store-server.ts`) to the other users, whose `Bus` sends requests
 * to storage (`store-client.ts`). On a disconnect, caches are invalidated and brittle requests fail; on a reconnect,
 * the watched states are read again. Disposal sends the queued events, drains the subscriptions and closes the
 * connection.
 */

export type { Log, Verdict, Worker };

export type BusOptions = {
  url: string;
  user: UserName;
  password: string;
  /** Names of the layer and of this process: the source of its events. */
  layer: string;
  instance: string;
  log: Log;
  /** Person at the command line; requests are sent on their behalf by default. */
  person?: string | undefined;
  /** Overrides the limits of `calls.ts`; for tests. */
  limits?: { signOfLifeMs: number; silenceMs: number };
};

const KIND = 'Terrace-Kind';

/** One connection to the bus, authenticated as one of its users. */
export class Bus implements AsyncDisposable {
  readonly #nc: NatsConnection;
  readonly #options: BusOptions;
  readonly #inbox: string;
  readonly #calls: Calls<Msg>;
  readonly #events: Events;
  readonly #states: States;
  readonly #store: Store;
  /** JetStream, reached directly; in storage only. */
  readonly #jetStream: JetStreamStore | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #invalidations: Invalidations;
  readonly #answers: Responder;
  #disconnected = false;

  /** Stream of events. */
  readonly archive: Archive;
  /** Events reported by the layers below. */
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

  /** Waits for the server without a time limit. The connection then reconnects by itself. */
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
    await bus.#jetStream?.ensure();
    bus.#serveStore();
    return bus;
  }

  private constructor(nc: NatsConnection, options: BusOptions) {
    this.#nc = nc;
    this.#options = options;
    this.#inbox = createInbox(inboxOf(options.user));
    this.#calls = new Calls(options.limits?.silenceMs);
    this.#on(`${this.#inbox}.*`, (message) => {
      const id = message.subject.slice(this.#inbox.length + 1);
      if (message.headers?.get(KIND) === 'working') this.#calls.alive(id);
      else this.#calls.settle(id, message);
    });
    const subscribe = (subject: string, handler: (bytes: Uint8Array) => void) =>
      this.#on(subject, ({ data }) => handler(data));
    this.#invalidations = new Invalidations({
      publish: (subject, bytes) => nc.publish(subject, bytes),
      subscribe,
    });
    this.#answers = new Responder({
      subscribe: (subject, handler) => this.#subscribe(subject, handler, options.user),
      inbox: this.#inbox,
      calls: this.#calls,
      header: (kind) => header(KIND, kind),
      after: (reply) => this.#invalidations.guardReply(reply),
      log: options.log,
      signOfLifeMs: options.limits?.signOfLifeMs,
    });
    this.onInvalidation = this.#invalidations.onInvalidation.bind(this.#invalidations);
    this.onGap = this.#invalidations.onGap.bind(this.#invalidations);
    this.#jetStream =
      options.user === 'storage'
        ? new JetStreamStore(nc, (dropped) => this.publish(jobDropped, dropped), options.log)
        : undefined;
    // Services wait for each other to start; an operator must learn soon that storage is unavailable.
    const patience = options.user === 'operator' ? 1_000 : 5_000;
    this.#store = this.#jetStream ?? storeBy(this.call.bind(this), patience);
    const send = (subject: string, id: string, bytes: Uint8Array) => this.#store.append(subject, id, bytes);
    this.#events = new Events(options, {
      send,
      publish: this.#invalidations.publish.bind(this.#invalidations),
      subscribe,
    });
    this.publish = this.#events.publish.bind(this.#events);
    this.listen = this.#events.listen.bind(this.#events);
    this.archive = this.#store.archive;
    this.relay = new Relay(this.archive, send);
    const closed = new AbortController();
    void nc.closed().then(() => closed.abort());
    const jobs = new Jobs({ queue: (name) => this.#store.queue(name), closed: closed.signal }, options.log);
    this.submit = jobs.submit.bind(jobs);
    this.work = jobs.work.bind(jobs);
    // A syncer's request for a job stays open for up to `TAKE_MS`: it is never answered if storage is killed meanwhile.
    if (options.user === 'syncer') this.listen(storageStarted, () => this.#calls.restarted());
    this.#states = new States(
      {
        bucket: (name) => this.#store.bucket(name),
        subscribe: (bucket, key, handler) =>
          this.#on(`$KV.${bucket}.${key}`, ({ headers: head, data }) => handler(writeOf(head, data))),
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

  /** Version of the connected nats-server. */
  serverVersion = (): string => this.#nc.info?.version ?? 'unknown';

  /** Resolves when the connection is closed permanently, with the error that closed it, if any. */
  closed = async (): Promise<Error | undefined> => (await this.#nc.closed()) ?? undefined;

  /** Usage and trimming of the stream of events. @throws Error in any process but storage */
  get room(): Room {
    if (!this.#jetStream) throw new Error('only storage can trim the history');
    return this.#jetStream.room;
  }

  /**
   * Resolves when the server has received all that was published so far, and this process has received all that the
   * server had queued for it by then.
   */
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

  /** @returns a function that unsubscribes */
  #on(subject: string, handler: (message: Msg) => void): () => void {
    const subscription = this.#subscribe(subject, handler);
    return () => subscription.unsubscribe();
  }

  #subscribe(subject: string, handler: (message: Msg) => void, queue?: string): Subscription {
    const callback = (error: unknown, message: Msg) => error || handler(message);
    return this.#nc.subscribe(subject, queue ? { queue, callback } : { callback });
  }

  /**
   * Sends a request and waits for its answer. While nobody serves the subject, it is sent again for `patience` ms.
   * @throws Fault the one that the responder answered; `unavailable`; `denied` if the server refuses the subject;
   * `internal` if the answer violates its schema; `malformed`, `too-large` for the query; the reason of `signal` when
   * it aborts
   */
  async call<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    query: Static<Q>,
    { signal, patience = 5_000, behalf = this.#options.person, ...options }: CallOptions = {},
  ): Promise<Static<R>> {
    const bytes = pack(contract.query, query);
    const deadline = Date.now() + patience;
    const head = behalf ? { headers: header(ON_BEHALF, behalf) } : {};
    for (;;) {
      signal?.throwIfAborted();
      const ask = (id: string) => {
        this.#nc.publish(contract.subject, bytes, { reply: `${this.#inbox}.${id}`, ...head });
      };
      // A message published while disconnected is lost.
      const message = this.#disconnected
        ? undefined
        : await this.#calls.open(contract.subject, signal, ask, options);
      const unserved = message?.headers?.code === 503 && message.data.length === 0;
      if (message && !unserved) {
        if (message.headers?.get(KIND) === 'fault') throw fromWire(unpack(WireFault, message.data));
        return asAnswer(contract.subject, () => unpack(contract.reply, message.data));
      }
      if (Date.now() >= deadline) throw new Fault('unavailable', `no service answers ${contract.subject}`);
      const wait = sleep(50 + Math.random() * 200, undefined, signal ? { signal } : {});
      await wait.catch(() => signal?.throwIfAborted());
    }
  }

  /**
   * Serves a request. Of all processes that serve it as this user, one gets each query; a process handles several
   * queries concurrently.
   * @returns a function that stops serving; it resolves when the handler has received every query that was already on
   * its way to this process, as no other process gets those
   */
  serve<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    handler: (query: Static<Q>, caller: Caller) => Promise<Static<R>>,
  ): () => Promise<void> {
    const subscription = this.#answers.serve(contract, (query, { caller }) => handler(query, caller));
    return () => subscription.drain().catch(() => {});
  }

  #serveStore(): void {
    if (!this.#jetStream) return;
    const serve: ServeStore = (contract, handler, { quiet }) =>
      void this.#answers.serve(contract, handler, quiet);
    serveStore(serve, this.#jetStream);
  }

  /** Number of jobs that are queued or in progress. */
  backlog(queue: ConsumerName): Promise<number> {
    return this.#store.queue(queue).backlog();
  }

  /** Sets the retention of events in ms, also for a server that returns without its store. In storage only. */
  async setEventRetention(ms: number): Promise<void> {
    await this.#jetStream?.setEventRetention(ms);
  }

  /** Reads the retained events. @throws Fault `unavailable` */
  history(options: HistoryOptions): AsyncGenerator<Past> {
    return readHistory(this.archive, options, this.#options.log);
  }

  /** Last event of this connection that was stored. */
  stored = (): StoredEvent | undefined => this.#events.stored;

  /**
   * Calls the handler on each event of this layer or of a layer below, and on each status report of a layer below.
   * @returns a function that unsubscribes
   */
  onNews(handler: () => void): () => void {
    const unsubscribes = ['events.>', 'below.>', `$KV.${layersBelow.bucket}.>`].map((subject) =>
      this.#on(subject, handler),
    );
    return () => unsubscribes.forEach((unsubscribe) => void unsubscribe());
  }

  async #follow(): Promise<void> {
    const { log } = this.#options;
    for await (const status of this.#nc.status()) {
      if (status.type === 'disconnect') {
        this.#disconnected = true;
        this.#invalidations.onDisconnect();
        this.#calls.onDisconnect();
        this.#jetStream?.onDisconnect();
        log.warn({}, 'bus disconnected');
      }
      if (status.type === 'error') {
        log.error({ detail: String(status.data) }, 'bus reported an error');
        const { operation, subject } = status.permissionContext ?? {};
        if (operation === 'publish' && subject) this.#calls.refuse(subject);
      }
      if (status.type === 'reconnect') {
        this.#disconnected = false;
        this.#invalidations.onReconnect();
        log.info({ notice: true }, 'bus reconnected');
        void Promise.resolve(this.#jetStream?.ensure()).then(() => this.#states.refresh());
      }
    }
  }
}

function header(name: string, value: string) {
  const head = headers();
  head.set(name, value);
  return head;
}
