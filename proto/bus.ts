import { setTimeout as sleep } from 'node:timers/promises';
import type { Static, TSchema } from '@sinclair/typebox';
import type { KV, KvOptions, Msg, NatsConnection, Subscription } from 'nats';
import { connect, createInbox, headers, type JetStreamClient } from 'nats';
import { inboxOf, type UserName } from './access.ts';
import { type Asker, askerOf, ON_BEHALF } from './askers.ts';
import { AtOnce } from './at-once.ts';
import { layersBelow } from './below.ts';
import { answer, asAnswer, type CallOptions, Calls, replyTo, respond } from './calls.ts';
import { pack, type Request, unpack } from './contract.ts';
import { Events, type Told } from './events.ts';
import { Fault, fromWire, WireFault } from './fault.ts';
import { type Archive, type HistoryOptions, type Past, readHistory } from './history.ts';
import { archiveOf, bucketOf, ensureStream, ensureTable, writeOf } from './jetstream.ts';
import { Jobs, type Verdict, type Worker } from './jobs.ts';
import type { Log } from './log.ts';
import { Relay } from './relay.ts';
import { States } from './states.ts';
import { type BucketName, buckets, type ConsumerName, consumers, streams } from './streams.ts';

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

/** The only module that knows NATS. */
export class Bus implements AsyncDisposable {
  readonly #nc: NatsConnection;
  readonly #js: JetStreamClient;
  readonly #options: BusOptions;
  readonly #inbox: string;
  readonly #calls: Calls<Msg>;
  readonly #events: Events;
  readonly #states: States;
  readonly #kvs = new Map<string, Promise<KV>>();
  readonly #timer: NodeJS.Timeout;
  readonly #atOnce: AtOnce;
  #eventsMs: number | undefined;

  /** The stream of events. */
  readonly archive: Archive;
  /** What the layers below tell. */
  readonly relay: Relay;
  readonly publish: Events['publish'];
  readonly listen: Events['listen'];
  readonly heed: AtOnce['heed'];
  readonly onMissed: AtOnce['onMissed'];
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
    await bus.#ensure();
    return bus;
  }

  private constructor(nc: NatsConnection, options: BusOptions) {
    this.#nc = nc;
    this.#js = nc.jetstream({ timeout: 5_000 });
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
    this.#atOnce = new AtOnce({ say: (subject, bytes) => nc.publish(subject, bytes), hear });
    this.heed = this.#atOnce.heed.bind(this.#atOnce);
    this.onMissed = this.#atOnce.onMissed.bind(this.#atOnce);
    const send = async (subject: string, id: string, bytes: Uint8Array) =>
      (await this.#js.publish(subject, bytes, { msgID: id, timeout: 2_000 })).seq;
    const say = this.#atOnce.say.bind(this.#atOnce);
    const events = new Events(options, { send, say, hear });
    this.publish = events.publish.bind(events);
    this.listen = events.listen.bind(events);
    this.#events = events;
    this.archive = archiveOf(this.#manager, (stream, name) => this.#js.consumers.get(stream, name));
    this.relay = new Relay(this.archive, send);
    const closed = new AbortController();
    void nc.closed().then(() => closed.abort());
    const jobs = new Jobs(
      {
        submit: async (subject, bytes) => void (await this.#js.publish(subject, bytes, { timeout: 5_000 })),
        open: async (consumer) => {
          const { stream, name } = consumers[consumer];
          const queue = await this.#js.consumers.get(stream, name);
          return { next: () => queue.next({ expires: 2_000 }) };
        },
        mend: () => this.#ensure(),
        closed: closed.signal,
      },
      options.log,
    );
    this.submit = jobs.submit.bind(jobs);
    this.work = jobs.work.bind(jobs);
    const states = new States(
      {
        open: (bucket) => this.#bucket(bucket),
        hear: (bucket, key, heard) =>
          this.#hear(`$KV.${bucket}.${key}`, ({ headers: head, data }) => heard(writeOf(head, data))),
      },
      options.log,
    );
    this.get = states.get.bind(states);
    this.put = states.put.bind(states);
    this.swap = states.swap.bind(states);
    this.remove = states.remove.bind(states);
    this.list = states.list.bind(states);
    this.unreadable = states.unreadable.bind(states);
    this.watch = states.watch.bind(states);
    this.#states = states;
    this.#timer = setInterval(() => states.refresh(), 15_000).unref();
    void this.#follow();
  }

  /** Resolves when the connection is gone for good, with the error that ended it, if any. */
  closed = async (): Promise<Error | undefined> => (await this.#nc.closed()) ?? undefined;

  /** Resolves when all said so far has reached the server, and all that it had for us then has been heard. */
  flush(): Promise<void> {
    return this.#nc.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.race([this.#events.close(), sleep(2_000, undefined, { ref: false })]);
    await Promise.race([this.#nc.drain().catch(() => {}), sleep(2_000, undefined, { ref: false })]);
    await this.#nc.close();
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
    { signal, patience = 5_000, behalf = this.#options.person }: CallOptions = {},
  ): Promise<Static<R>> {
    const bytes = pack(contract.query, query);
    const deadline = Date.now() + patience;
    const head = behalf ? { headers: header(ON_BEHALF, behalf) } : {};
    for (;;) {
      signal?.throwIfAborted();
      const message = await this.#calls.open(contract.subject, signal, (id) => {
        this.#nc.publish(contract.subject, bytes, { reply: `${this.#inbox}.${id}`, ...head });
      });
      const nobody = message.headers?.code === 503 && message.data.length === 0;
      if (!nobody) {
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
    handler: (query: Static<Q>, asker: Asker) => Promise<Static<R>>,
  ): () => Promise<void> {
    const { log, limits } = this.#options;
    const failed = (err: unknown) => log.error({ err, subject: contract.subject }, 'a request failed');
    const hear = (message: Msg) => {
      const work = () => respond(contract, message.data, (query) => handler(query, askerOf(message)));
      void answer(
        this.#atOnce.after(replyTo(message, (kind) => header(KIND, kind))),
        work,
        failed,
        limits?.signOfLifeMs,
      );
    };
    const subscription = this.#subscribe(contract.subject, hear, this.#options.user);
    return () => subscription.drain().catch(() => {});
  }

  /** How many jobs wait for a worker or are with one. */
  async backlog(consumer: ConsumerName): Promise<number> {
    const { stream, name } = consumers[consumer];
    const info = await (await this.#manager()).consumers.info(stream, name);
    return info.num_pending + info.num_ack_pending;
  }

  /** From now on events are kept for so many ms, also by a server that comes back without its store. */
  async keepEvents(ms: number): Promise<void> {
    this.#eventsMs = ms;
    await ensureStream(await this.#manager(), streams.events, ms);
  }

  /** What has happened, as far as it is kept. @throws Fault `unavailable` */
  history(options: HistoryOptions): AsyncGenerator<Past> {
    return readHistory(this.archive, options, this.#options.log);
  }

  /** The last event of this connection that the stream has taken. */
  stored = (): Told | undefined => this.#events.stored;

  /** Hears that something more happened here or below, or that a layer below told how it stands. Returns what ends it. */
  onNews(heard: () => void): () => void {
    const ends = ['events.>', 'below.>', `$KV.${layersBelow.bucket}.>`].map((subject) =>
      this.#hear(subject, heard),
    );
    return () => ends.forEach((end) => void end());
  }

  #manager = () => this.#nc.jetstreamManager({ timeout: 5_000 });

  async #follow(): Promise<void> {
    const { log } = this.#options;
    for await (const status of this.#nc.status()) {
      if (status.type === 'disconnect') {
        this.#atOnce.broke();
        log.warn({}, 'the bus is away');
      }
      if (status.type === 'error') log.error({ detail: String(status.data) }, 'the bus refused something');
      if (status.type === 'reconnect') {
        this.#atOnce.mended();
        log.info({}, 'the bus is back');
        void this.#ensure().then(() => this.#states.refresh());
      }
    }
  }

  #bucket(bucket: string): Promise<KV> {
    const known = this.#kvs.get(bucket);
    if (known) return known;
    const kv = this.#js.views.kv(bucket, bucketOf(bucket as BucketName) as Partial<KvOptions>);
    this.#kvs.set(bucket, kv);
    kv.catch(() => this.#kvs.delete(bucket));
    return kv;
  }

  /** Makes what is missing of the table of streams. Fails only into the log: all of it can be tried again. */
  async #ensure(): Promise<void> {
    this.#kvs.clear();
    try {
      await ensureTable(await this.#manager(), this.#eventsMs);
      for (const bucket of Object.keys(buckets)) await this.#bucket(bucket);
    } catch (err) {
      this.#options.log.warn({ err }, 'streams could not be made ready');
    }
  }
}

function header(name: string, value: string) {
  const head = headers();
  head.set(name, value);
  return head;
}
