import { setTimeout as sleep } from 'node:timers/promises';
import type { Static, TSchema } from '@sinclair/typebox';
import { storageStarted } from '../content/content-events.ts';
import type { Request } from '../contract/contract.ts';
import type { Log } from '../contract/log.ts';
import type { UserName } from '../contract/users.ts';
import type { Archive } from '../jetstream/archive.ts';
import { JetStreamStore } from '../jetstream/jetstream-store.ts';
import type { Store } from '../jetstream/store.ts';
import type { Room } from '../jetstream/stream-room.ts';
import type { ConsumerName } from '../jetstream/streams.ts';
import { layersBelow } from '../status/layers-below.ts';
import { tracer } from '../tracing/tracer.ts';
import type { RequestSender } from './caller.ts';
import type { CallOptions } from './calls.ts';
import { Connection, type ConnectionOptions, header, KIND } from './connection.ts';
import { Events, type StoredEvent } from './events.ts';
import { type HistoryOptions, type Past, readHistory } from './history.ts';
import { Invalidations } from './invalidations.ts';
import { Jobs, type JobVerdict, jobDropped, type Worker } from './jobs.ts';
import { Relay } from './relay.ts';
import { Requester } from './requester.ts';
import { Responder } from './responder.ts';
import type { BusRoles } from './roles.ts';
import { REFRESH_MS, States, writeOf } from './states.ts';
import { storeBy } from './store-client.ts';
import { type ServeStore, serveStore } from './store-server.ts';
import { callWithin } from './traced-requests.ts';

/**
 * The bus: how the processes of a layer communicate over NATS, by the four kinds of message that
 * `../contract/contract.ts` declares: requests (`requester.ts`, `calls.ts`, `responder.ts`), jobs (`jobs.ts`), events
 * (`events.ts`, `history.ts`, `relay.ts`) and states (`states.ts`). `roles.ts` names what a part of a service does with
 * it; `permissions.ts` says which subjects each user may use.
 *
 * A process has one `Bus` on one `Connection`. `connect` waits for the server; the connection then reconnects by
 * itself. Storage alone uses JetStream: it creates the streams and serves them (`store-server.ts`) to the other users,
 * whose `Bus` sends requests to storage (`store-client.ts`). On a disconnect, caches are invalidated and brittle
 * requests fail; on a reconnect, the watched states are read again. Disposal sends the queued events, drains the
 * subscriptions and closes the connection.
 */

export type { JobVerdict, Log, Worker };

export type BusOptions = ConnectionOptions & {
  /** Name of the layer; with that of this process, the source of its events. */
  layer: string;
  log: Log;
  /** Person at the command line; requests are sent on their behalf by default. */
  person?: string | undefined;
  /** Overrides the limits of `calls.ts`; for tests. */
  limits?: { signOfLifeMs: number; silenceMs: number } | undefined;
};

/** What depends on the user of a connection. */
type Traits = {
  /** Direct: reaches JetStream itself and serves it. Otherwise: sends requests to storage. */
  store: 'direct' | 'by storage';
  /** How long such a request is retried while storage does not answer, in ms. */
  patienceMs: number;
  /** Takes jobs: its request for one stays open for up to `TAKE_MS`, and no restarted storage answers it. */
  takesJobs: boolean;
};

/** Services wait for each other to start; an operator must learn soon that storage is unavailable. */
const PATIENCE_MS = { service: 5_000, person: 1_000 };

const client: Traits = { store: 'by storage', patienceMs: PATIENCE_MS.service, takesJobs: false };

const traits: Record<UserName, Traits> = {
  storage: { ...client, store: 'direct' },
  syncer: { ...client, takesJobs: true },
  gateway: client,
  'twin-bridge': client,
  operator: { ...client, patienceMs: PATIENCE_MS.person },
  monitor: client,
};

/** One connection to the bus, authenticated as one of its users. */
export class Bus implements BusRoles, AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: BusOptions;
  readonly #requester: Requester;
  readonly #events: Events;
  readonly #states: States;
  readonly #store: Store;
  /** JetStream, reached directly; in storage only. */
  readonly #jetStream: JetStreamStore | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #invalidations: Invalidations;
  readonly #answers: Responder;
  readonly #reconnects = new Set<() => void>();

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
    const bus = new Bus(await Connection.open(options), options);
    await bus.#jetStream?.ensure();
    bus.#serveStore();
    return bus;
  }

  private constructor(connection: Connection, options: BusOptions) {
    const { store, patienceMs, takesJobs } = traits[options.user];
    this.#connection = connection;
    this.#options = options;
    this.#requester = new Requester(connection, options.person, options.limits?.silenceMs);
    const { calls } = this.#requester;
    const subscribe = (subject: string, handler: (bytes: Uint8Array) => void) =>
      connection.on(subject, ({ data }) => handler(data));
    this.#invalidations = new Invalidations({
      publish: (subject, bytes) => connection.publish(subject, bytes),
      subscribe,
    });
    this.#answers = new Responder({
      subscribe: (subject, handler) => connection.subscribe(subject, handler, options.user),
      inbox: connection.inbox,
      calls,
      header: (kind) => header(KIND, kind),
      guard: (send) => this.#invalidations.guardAnswer(send),
      log: options.log,
      signOfLifeMs: options.limits?.signOfLifeMs,
    });
    this.onInvalidation = this.#invalidations.onInvalidation.bind(this.#invalidations);
    this.onGap = this.#invalidations.onGap.bind(this.#invalidations);
    this.#jetStream =
      store === 'direct'
        ? new JetStreamStore(connection.nc, (dropped) => this.publish(jobDropped, dropped), options.log)
        : undefined;
    this.#store = this.#jetStream ?? storeBy(this.#requester.call.bind(this.#requester), patienceMs);
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
    void connection.closed().then(() => closed.abort());
    const jobs = new Jobs({ queue: (name) => this.#store.queue(name), closed: closed.signal }, options.log);
    this.submit = jobs.submit.bind(jobs);
    this.work = jobs.work.bind(jobs);
    if (takesJobs) this.listen(storageStarted, () => calls.restarted());
    this.#states = new States(
      {
        bucket: (name) => this.#store.bucket(name),
        subscribe: (bucket, key, handler) =>
          connection.on(`$KV.${bucket}.${key}`, ({ headers: head, data }) => handler(writeOf(head, data))),
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
    this.#follow();
  }

  /** Version of the connected nats-server. */
  serverVersion = (): string => this.#connection.serverVersion();

  /** Resolves when the connection is closed permanently, with the error that closed it, if any. */
  closed = (): Promise<Error | undefined> => this.#connection.closed();

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
    return this.#connection.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.race([this.#events.close(), sleep(2_000, undefined, { ref: false })]);
    await this.#connection.close();
    this.#requester.calls.close();
  }

  /** Sends a request and waits for its answer: see `Requester.call`. @throws Fault */
  call<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    query: Static<Q>,
    options?: CallOptions,
  ): Promise<Static<R>> {
    if (!tracer) return this.#requester.call(contract, query, options);
    return callWithin(contract, options, (more) => this.#requester.call(contract, query, more));
  }

  /**
   * Serves a request. Of all processes that serve it as this user, one gets each query; a process handles several
   * queries concurrently.
   * @returns a function that stops serving; it resolves when the handler has received every query that was already on
   * its way to this process, as no other process gets those
   */
  serve<Q extends TSchema, R extends TSchema>(
    contract: Request<Q, R>,
    handler: (query: Static<Q>, caller: RequestSender) => Promise<Static<R>>,
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

  /** To be called when the wall clock was set back. In storage only: see `JetStreamStore`. */
  async redeliverJobs(): Promise<void> {
    await this.#jetStream?.redeliverJobs();
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
      this.#connection.on(subject, handler),
    );
    return () => unsubscribes.forEach((unsubscribe) => void unsubscribe());
  }

  /** Calls the handler when the connection is back after a loss. @returns a function that unsubscribes */
  onReconnect(handler: () => void): () => void {
    this.#reconnects.add(handler);
    return () => void this.#reconnects.delete(handler);
  }

  #follow(): void {
    const { log } = this.#options;
    const { calls } = this.#requester;
    void this.#connection.follow({
      onDisconnect: () => {
        this.#invalidations.onDisconnect();
        calls.onDisconnect();
        this.#jetStream?.onDisconnect();
        log.warn({}, 'bus disconnected');
      },
      onRefusal: (detail, subject) => {
        log.error({ detail }, 'bus reported an error');
        if (subject) calls.refuse(subject);
      },
      onReconnect: () => {
        this.#invalidations.onReconnect();
        log.info({ notice: true }, 'bus reconnected');
        void Promise.resolve(this.#jetStream?.ensure()).then(() => this.#states.refresh());
        for (const handler of this.#reconnects) handler();
      },
    });
  }
}
