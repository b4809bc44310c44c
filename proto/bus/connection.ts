import { setTimeout as sleep } from 'node:timers/promises';
import { connect, createInbox, headers, type Msg, type NatsConnection, type Subscription } from 'nats';
import { inboxOf, type UserName } from '../contract/users.ts';

export type { Msg, NatsConnection };

export type ConnectionOptions = {
  url: string;
  user: UserName;
  password: string;
  /** Name of this process. */
  instance: string;
};

/** What a connection reports. */
export type ConnectionEvents = {
  /** The connection has broken. */
  onDisconnect(): void;
  /** It is back: subscriptions are restored, no request was received yet. */
  onReconnect(): void;
  /** The server refused something. @param subject the one on which this user may not publish, if that was it */
  onRefusal(detail: string, subject: string | undefined): void;
};

/** Kind of an answer other than a plain one: `working`, `fault`. */
export const KIND = 'Terrace-Kind';

/** One connection to nats-server, authenticated as one user of the bus. It reconnects by itself. */
export class Connection {
  /** For JetStream. */
  readonly nc: NatsConnection;
  /** Subject below which this connection receives answers. */
  readonly inbox: string;
  #isDown = false;

  /** Waits for the server without a time limit. */
  static async open(options: ConnectionOptions): Promise<Connection> {
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
      // Without them, each request of JetStream's client would record a stack.
      noAsyncTraces: true,
      pingInterval: 10_000,
      maxPingOut: 2,
    });
    return new Connection(nc, options.user);
  }

  private constructor(nc: NatsConnection, user: UserName) {
    this.nc = nc;
    this.inbox = createInbox(inboxOf(user));
  }

  /** A message that is published while the connection is down is lost. */
  get isDown(): boolean {
    return this.#isDown;
  }

  /** Version of the connected nats-server. */
  serverVersion(): string {
    return this.nc.info?.version ?? 'unknown';
  }

  /** @throws Error if the connection is closed */
  publish(
    subject: string,
    bytes?: Uint8Array,
    options?: { reply?: string; headers?: ReturnType<typeof header> },
  ): void {
    this.nc.publish(subject, bytes, options);
  }

  /** @returns a function that unsubscribes */
  on(subject: string, handler: (message: Msg) => void): () => void {
    const subscription = this.subscribe(subject, handler);
    return () => subscription.unsubscribe();
  }

  /** @param queue of the subscriptions of one queue, one receives each message */
  subscribe(subject: string, handler: (message: Msg) => void, queue?: string): Subscription {
    const callback = (error: unknown, message: Msg) => error || handler(message);
    return this.nc.subscribe(subject, queue ? { queue, callback } : { callback });
  }

  /** Reports until the connection is closed. */
  async follow(events: ConnectionEvents): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === 'disconnect') {
        this.#isDown = true;
        events.onDisconnect();
      }
      if (status.type === 'error') {
        const { operation, subject } = status.permissionContext ?? {};
        events.onRefusal(String(status.data), operation === 'publish' ? subject : undefined);
      }
      if (status.type === 'reconnect') {
        this.#isDown = false;
        events.onReconnect();
      }
    }
  }

  flush(): Promise<void> {
    return this.nc.flush();
  }

  /** Resolves when the connection is closed permanently, with the error that closed it, if any. */
  async closed(): Promise<Error | undefined> {
    return (await this.nc.closed()) ?? undefined;
  }

  /** Drains the subscriptions, for 2 s at most, and closes. */
  async close(): Promise<void> {
    await Promise.race([this.nc.drain().catch(() => {}), sleep(2_000, undefined, { ref: false })]);
    await this.nc.close();
  }
}

/** Headers with one field. */
export function header(name: string, value: string) {
  const head = headers();
  head.set(name, value);
  return head;
}
