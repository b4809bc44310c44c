import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer, type Server } from 'node:tls';
import { Aedes, type AedesPublishPacket, type Client } from 'aedes';
import persistence from 'aedes-persistence';
import type { Authority } from '../certificates.ts';
import { patience, patienceSignal } from '../until.ts';
import { TwinStore } from './twin-store.ts';

export type MethodResult = { status: number; payload: unknown };
/** Its types do not declare that it is a function. */
const memory = persistence as unknown as () => unknown;

type Identity = { hub: string; device: string; module: string };

/** Faults of the hub, until they are set again. */
export type Faults = {
  /** Connections are rejected (CONNACK 5). */
  refuse?: boolean;
  /** Requests whose answers are lost. */
  loseAnswers?: ('get' | 'report')[];
  /** The status of the next `times` answers. */
  throttle?: { status: number; times: number };
  /** Patches of desired properties that are lost, as during an outage of the hub's own upstream. */
  losePatches?: boolean;
};

/**
 * A stand-in for edgeHub 1.6, for one module: MQTT 3.1.1 over TLS, and of IoT Hub's contract the connection check, the
 * module twin and direct methods. It closes a session whose signature expires, and publishes only to subscribers.
 */
export class EdgeHub implements AsyncDisposable {
  readonly twin = new TwinStore();
  faults: Faults = {};
  /** Expiry (`se`) of the signature of each session, in s since 1970, in order. */
  readonly sessions: number[] = [];
  /** Number of refused connections. */
  refused = 0;
  gets = 0;
  /** Patches of reported properties that were received, in order. */
  readonly reports: unknown[] = [];
  /** Max patches in progress at the same time. */
  maxConcurrentPatches = 0;
  port = 0;
  readonly #identity: Identity;
  readonly #key: Buffer;
  readonly #tls: { cert: Buffer; key: Buffer };
  readonly #sockets = new Set<Socket>();
  readonly #calls = new Map<string, (answer: MethodResult) => void>();
  #persistence: unknown = memory();
  #broker: Aedes | undefined;
  #server: Server | undefined;
  #serial = 0;
  #reporting = 0;
  #changed = Promise.withResolvers<void>();

  static async start(authority: Authority, key: Buffer, identity: Identity): Promise<EdgeHub> {
    const { certificateFile, keyFile } = await authority.issue(
      `edgehub-${Math.random().toString(36).slice(2)}`,
    );
    const hub = new EdgeHub(
      { cert: await readFile(certificateFile), key: await readFile(keyFile) },
      key,
      identity,
    );
    await hub.resume();
    return hub;
  }

  private constructor(tls: { cert: Buffer; key: Buffer }, key: Buffer, identity: Identity) {
    this.#tls = tls;
    this.#key = key;
    this.#identity = identity;
  }

  /** Listens on the same port as before. `forget`: earlier sessions are lost. */
  async resume({ forget = false } = {}): Promise<void> {
    if (forget) this.#persistence = memory();
    const broker = await Aedes.createBroker({
      persistence: this.#persistence,
      heartbeatInterval: 60_000,
      authenticate: (client, user, password, done) => {
        const expiry = this.#expiryOf(client, user, String(password));
        if (expiry === undefined || this.faults.refuse) {
          this.refused += 1;
          this.#notify();
          return done(Object.assign(new Error('not authorized'), { returnCode: 5 }), false);
        }
        this.sessions.push(expiry);
        const timer = setTimeout(() => client.close(), Math.max(0, expiry * 1_000 - Date.now())).unref();
        client.once('disconnected' as never, () => clearTimeout(timer));
        this.#notify();
        done(null, true);
      },
    });
    broker.on('publish', (packet, client) => void (client && this.#onPublish(packet, client)));
    broker.on('subscribe', () => this.#notify());
    this.#broker = broker;
    this.#server = createServer(this.#tls, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
      broker.handle(socket);
    });
    this.#server.on('tlsClientError', () => {
      this.refused += 1;
      this.#notify();
    });
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  /** Goes offline: connections are cut and refused. */
  async pause(): Promise<void> {
    const [broker, server] = [this.#broker, this.#server];
    this.#broker = undefined;
    this.#server = undefined;
    server?.close();
    this.cut();
    if (broker) await new Promise<void>((resolve) => broker.close(() => resolve()));
  }

  async restart(options: { forget?: boolean } = {}): Promise<void> {
    await this.pause();
    await this.resume(options);
  }

  /** Whether the module has a connection, as the hub sees it. */
  get isConnected(): boolean {
    return this.#client?.connected ?? false;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Connections stay open, but nothing is read or answered on them any more. */
  freeze(): void {
    for (const socket of this.#sockets)
      socket.removeAllListeners('readable').removeAllListeners('data').pause();
  }

  /** Replaces all desired properties, or sets another version. @returns the version */
  desire(desired: Record<string, unknown>, version?: number): number {
    const patch = this.twin.desire(desired, version);
    const topic = `$iothub/twin/PATCH/properties/desired/?$version=${this.twin.version}`;
    if (!this.faults.losePatches)
      this.#publish(topic, '$iothub/twin/PATCH/properties/desired/#', JSON.stringify(patch));
    return this.twin.version;
  }

  /** Calls a direct method. Status 404 without a subscription, 504 after the timeout. */
  async callMethod(name: string, payload: string, timeoutMs = patience()): Promise<MethodResult> {
    this.#serial += 1;
    const id = String(this.#serial);
    const { promise, resolve } = Promise.withResolvers<MethodResult>();
    this.#calls.set(id, resolve);
    const topic = `$iothub/methods/POST/${name}/?$rid=${id}`;
    if (!this.#publish(topic, '$iothub/methods/POST/#', payload)) return { status: 404, payload: null };
    const timer = setTimeout(() => resolve({ status: 504, payload: null }), timeoutMs);
    const answer = await promise;
    clearTimeout(timer);
    this.#calls.delete(id);
    return answer;
  }

  /**
   * Resolves when `holds` returns true; it is checked on every message, and periodically. @throws after `patience()`
   */
  async until(what: string, holds: () => boolean): Promise<void> {
    const end = patienceSignal();
    while (!holds()) {
      if (end.aborted) throw new Error(`timeout: ${what}`);
      await Promise.race([this.#changed.promise, sleep(20)]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pause();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** @returns when the signature expires, in s since 1970; undefined if it is not valid */
  #expiryOf(client: Client, user: string | undefined, password: string): number | undefined {
    const { hub, device, module } = this.#identity;
    const fields = new URLSearchParams(password.replace(/^SharedAccessSignature /, ''));
    const resource = encodeURIComponent(`${hub}/devices/${device}/modules/${module}`);
    const expiry = Number(fields.get('se'));
    const signed = createHmac('sha256', this.#key)
      .update(`${resource}\n${fields.get('se')}`)
      .digest('base64');
    const isValid =
      client.id === `${device}/${module}` &&
      user?.startsWith(`${hub}/${device}/${module}/?`) &&
      user.includes('api-version=') &&
      encodeURIComponent(fields.get('sr') ?? '') === resource &&
      fields.get('sig') === signed &&
      expiry * 1_000 > Date.now();
    return isValid ? expiry : undefined;
  }

  /** @returns whether there is a subscription */
  get #client(): (Client & { subscriptions: object }) | undefined {
    const { device, module } = this.#identity;
    const clients =
      (this.#broker as unknown as { clients: Record<string, Client> } | undefined)?.clients ?? {};
    return clients[`${device}/${module}`] as (Client & { subscriptions: object }) | undefined;
  }

  #publish(topic: string, filter: string, payload: string): boolean {
    const client = this.#client;
    if (!client?.connected || !(filter in client.subscriptions)) return false;
    client.publish({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false }, () => {});
    return true;
  }

  #onPublish({ topic, payload }: AedesPublishPacket, client: Client): void {
    const id = /\$rid=([^&]+)/.exec(topic)?.[1] ?? '';
    const text = payload.toString();
    const subscribed = '$iothub/twin/res/#' in (client as unknown as { subscriptions: object }).subscriptions;
    const reply = (status: number, body: string) => {
      const packet = { cmd: 'publish', qos: 0, retain: false, dup: false } as const;
      const to = `$iothub/twin/res/${this.#throttled() ?? status}/?$rid=${id}`;
      if (subscribed) client.publish({ ...packet, topic: to, payload: body }, () => {});
    };
    if (topic.startsWith('$iothub/twin/GET/')) {
      this.gets += 1;
      if (!this.faults.loseAnswers?.includes('get')) reply(200, JSON.stringify(this.twin.twin()));
    } else if (topic.startsWith('$iothub/twin/PATCH/properties/reported/')) {
      this.#reporting += 1;
      this.maxConcurrentPatches = Math.max(this.maxConcurrentPatches, this.#reporting);
      const status = this.faults.throttle ? 429 : this.twin.report(text);
      this.reports.push(JSON.parse(text));
      // A patch that arrives before this one is answered was sent concurrently.
      setImmediate(() => {
        this.#reporting -= 1;
        if (!this.faults.loseAnswers?.includes('report')) reply(status, '');
        this.#notify();
      });
    } else if (topic.startsWith('$iothub/methods/res/')) {
      const status = Number(/\/res\/(\d+)\//.exec(topic)?.[1]);
      this.#calls.get(id)?.({ status, payload: text === '' ? null : JSON.parse(text) });
    }
    this.#notify();
  }

  #throttled(): number | undefined {
    const { throttle } = this.faults;
    if (!throttle) return undefined;
    throttle.times -= 1;
    if (throttle.times <= 0) this.faults = { ...this.faults, throttle: undefined as never };
    return throttle.status;
  }
}
