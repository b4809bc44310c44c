import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import type { Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { ModuleIdentity } from '#proto/iot-edge/identity.ts';
import type { Method } from '../methods/method.ts';
import { answerCall, MAX_CALLS, said } from './answer.ts';
import { isMapping, type Properties } from './desired.ts';
import { clientId, userName } from './sas.ts';
import type { Timing } from './timing.ts';
import { answerMethod, getTwin, patchReported, SUBSCRIPTIONS, topicOf } from './topics.ts';

/** One connection to edgeHub, with its three subscriptions; it ends once and is never mended. */
export type Hub = AsyncDisposable & {
  /** Resolves with why, in words, when it has ended. */
  readonly ended: Promise<string>;
  /** @throws Fault `unavailable`, with the status as detail where there was an answer */
  twin(): Promise<{ desired: unknown; reported: unknown }>;
  /** @throws as `twin` */
  report(patch: Properties): Promise<void>;
};

export type HubOptions = {
  identity: ModuleIdentity;
  password: string;
  /** Nobody else is trusted. PEM. */
  ca: string;
  methods: ReadonlyMap<string, Method>;
  log: Log;
  timing: Timing;
  /** The desired properties are said to be otherwise. */
  onPatch: () => void;
  signal: AbortSignal;
};

type Reply = { status: number; payload: Buffer };

const PORT = 8883;

/** @throws Fault `unavailable`, which says what kept it from connecting */
export async function connectHub(options: HubOptions): Promise<Hub> {
  const { identity, password, ca, timing, signal } = options;
  signal.throwIfAborted();
  const settings: IClientOptions = {
    protocolVersion: 4,
    // As every client of IoT Hub does; whatever the hub has kept, all is subscribed to and looked up again.
    clean: false,
    // Another attempt needs another signature.
    reconnectPeriod: 0,
    connectTimeout: timing.connect,
    keepalive: Math.max(1, Math.round(timing.keepalive / 1_000)),
    clientId: clientId(identity),
    username: userName(identity),
    password,
    ca,
    queueQoSZero: false,
  };
  const { hostname, port } = new URL(`mqtts://${identity.gateway}`);
  const client = await connected(`mqtts://${hostname}:${port || PORT}`, settings, options);
  const hub = new HubConnection(client, options);
  try {
    await hub.subscribe();
    return hub;
  } catch (error) {
    await hub[Symbol.asyncDispose]();
    throw error;
  }
}

function connected(
  url: string,
  settings: IClientOptions,
  { identity, signal }: HubOptions,
): Promise<MqttClient> {
  return new Promise((resolve, reject) => {
    const client = connect(url, settings);
    const end = (why: string, cause?: unknown) => {
      signal.removeEventListener('abort', aborted);
      client.end(true);
      reject(new Fault('unavailable', `edgeHub ${identity.gateway} does not let us in: ${why}`, { cause }));
    };
    const aborted = () => end('it is not needed any more', signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
    client.on('error', (error) => end(whyOf(error), error));
    client.once('close', () => end('it closed the connection'));
    client.once('connect', () => {
      signal.removeEventListener('abort', aborted);
      resolve(client);
    });
  });
}

class HubConnection implements Hub {
  readonly ended: Promise<string>;
  readonly #client: MqttClient;
  readonly #options: HubOptions;
  readonly #waiting = new Map<string, (reply: Reply) => void>();
  readonly #over = new AbortController();
  #serial = 0;
  #calls = 0;

  constructor(client: MqttClient, options: HubOptions) {
    this.#client = client;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise;
    let failure = 'edgeHub closed the connection';
    client.on('error', (error) => {
      failure = whyOf(error);
    });
    client.on('close', () => {
      resolve(failure);
      this.#over.abort(new Fault('unavailable', failure));
    });
    const { signal } = options;
    const aborted = () => this.#over.abort(signal.reason);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    client.on('message', (topic, payload) => this.#hear(topic, payload));
  }

  async subscribe(): Promise<void> {
    const granted = await this.#within(
      this.#client.subscribeAsync(SUBSCRIPTIONS, { qos: 0 }),
      'the subscriptions',
    );
    const refused = granted.filter(({ qos }) => Number(qos) === 128);
    if (refused.length > 0) {
      throw new Fault('unavailable', `edgeHub refuses ${refused.map(({ topic }) => topic).join(', ')}`);
    }
  }

  async twin(): Promise<{ desired: unknown; reported: unknown }> {
    const { payload } = await this.#ask('the twin', getTwin, '');
    try {
      const twin: unknown = JSON.parse(payload.toString('utf8'));
      if (isMapping(twin)) return { desired: twin.desired, reported: twin.reported };
    } catch {}
    throw new Fault('unavailable', 'edgeHub answered with something else than a twin');
  }

  async report(patch: Properties): Promise<void> {
    await this.#ask('reported properties', patchReported, JSON.stringify(patch));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Fault('unavailable', 'the connection to edgeHub is closed'));
    await this.#client.endAsync(true).catch(() => {});
  }

  async #ask(what: string, topic: (id: string) => string, payload: string): Promise<Reply> {
    this.#serial += 1;
    const id = String(this.#serial);
    const { promise, resolve } = Promise.withResolvers<Reply>();
    this.#waiting.set(id, resolve);
    try {
      await this.#within(this.#client.publishAsync(topic(id), payload, { qos: 0 }), what);
      const reply = await this.#within(promise, what);
      if (reply.status >= 200 && reply.status < 300) return reply;
      throw new Fault('unavailable', `edgeHub answered ${reply.status} for ${what}`, {
        detail: { status: reply.status },
      });
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** A reply at QoS 0 may be lost: without a limit, whoever waits for it waits for ever. */
  async #within<T>(task: Promise<T>, what: string): Promise<T> {
    const { signal } = this.#over;
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const { reply } = this.#options.timing;
    const late = () => reject(new Fault('unavailable', `edgeHub did not answer for ${what} in ${reply} ms`));
    const timer = setTimeout(late, reply);
    const over = () => reject(signal.reason);
    signal.addEventListener('abort', over, { once: true });
    try {
      return await Promise.race([task, promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
    }
  }

  #hear(topic: string, payload: Buffer): void {
    const heard = topicOf(topic);
    if (heard?.kind === 'desired') this.#options.onPatch();
    else if (heard?.kind === 'reply') this.#waiting.get(heard.id)?.({ status: heard.status, payload });
    else if (heard?.kind === 'method') void this.#answer(heard.id, heard.name, payload);
  }

  async #answer(id: string, name: string, payload: Buffer): Promise<void> {
    const { methods, log, timing } = this.#options;
    this.#calls += 1;
    const { status, text } =
      this.#calls > MAX_CALLS
        ? said(429, `${MAX_CALLS} methods run already: call again later`)
        : await answerCall({ name, payload }, methods, log, timing.method, this.#over.signal);
    this.#calls -= 1;
    if (this.#over.signal.aborted) return;
    log.info({ method: name, status }, 'a direct method was called');
    await this.#client.publishAsync(answerMethod(id, status), text, { qos: 0 }).catch(() => {});
  }
}

/** For a person: mqtt's own words for a refusal name its code. */
function whyOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: unknown };
  return message || String(code ?? 'no reason given');
}
