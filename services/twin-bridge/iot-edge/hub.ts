import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import type { Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isMapping } from '#proto/contract/plain-data.ts';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import type { ModuleIdentity } from '#proto/iot-edge/identity.ts';
import { certificateHint } from '#proto/process/clock-hint.ts';
import type { DirectMethod } from '../methods/method.ts';
import { answerCall, MAX_CALLS, tooManyCalls } from './answer.ts';
import type { Properties } from './desired.ts';
import { clientId, userName } from './sas.ts';
import type { Timing } from './timing.ts';
import { answerMethod, getTwin, patchReported, SUBSCRIPTIONS, topicOf } from './topics.ts';

/** One connection to edgeHub, with its three subscriptions. It ends once and never reconnects. */
export type Hub = AsyncDisposable & {
  /** Resolves with the reason, as text, when the connection has ended. */
  readonly ended: Promise<string>;
  /** @throws Fault `unavailable`; `detail.status` is the status of the answer, if edgeHub answered */
  twin(): Promise<{ desired: unknown; reported: unknown }>;
  /** @throws as `twin` */
  report(patch: Properties): Promise<void>;
};

export type HubOptions = {
  identity: ModuleIdentity;
  password: string;
  /** The only trusted CAs, PEM. */
  ca: string;
  methods: ReadonlyMap<string, DirectMethod>;
  log: Log;
  timing: Timing;
  /** Called when edgeHub sends a patch of the desired properties. */
  onPatch: () => void;
  signal: AbortSignal;
};

type Reply = { status: number; payload: Buffer };

const PORT = 8883;

/** @throws Fault `unavailable`, with the reason why the connection failed */
export async function connectHub(options: HubOptions): Promise<Hub> {
  const { identity, password, ca, timing, signal } = options;
  signal.throwIfAborted();
  const settings: IClientOptions = {
    protocolVersion: 4,
    // As in every client of IoT Hub. The client subscribes and reads again, regardless of the hub's stored session.
    clean: false,
    // Each attempt needs a new signature.
    reconnectPeriod: 0,
    connectTimeout: timing.connectMs,
    keepalive: Math.max(1, Math.round(timing.keepaliveMs / 1_000)),
    clientId: clientId(identity),
    username: userName(identity),
    password,
    ca,
    queueQoSZero: false,
  };
  const { hostname, port } = new URL(`mqtts://${identity.gateway}`);
  const client = await connectClient(`mqtts://${hostname}:${port || PORT}`, settings, options);
  const hub = new HubConnection(client, options);
  try {
    await hub.subscribe();
    return hub;
  } catch (error) {
    await hub[Symbol.asyncDispose]();
    throw error;
  }
}

function connectClient(
  url: string,
  settings: IClientOptions,
  { identity, signal }: HubOptions,
): Promise<MqttClient> {
  return new Promise((resolve, reject) => {
    const client = connect(url, settings);
    const end = (why: string, cause?: unknown) => {
      signal.removeEventListener('abort', aborted);
      client.end(true);
      reject(new Fault('unavailable', `failed to connect to edgeHub ${identity.gateway}: ${why}`, { cause }));
    };
    const aborted = () => end('the connection is no longer needed', signal.reason);
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
  readonly #pending = new Map<string, (reply: Reply) => void>();
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
    client.on('message', (topic, payload) => this.#receive(topic, payload));
  }

  async subscribe(): Promise<void> {
    const granted = await this.#within(
      () => this.#client.subscribeAsync(SUBSCRIPTIONS, { qos: 0 }),
      'the subscriptions',
    );
    const refused = granted.filter(({ qos }) => Number(qos) === 128);
    if (refused.length > 0) {
      throw new Fault(
        'unavailable',
        `edgeHub refused the subscriptions ${refused.map(({ topic }) => topic).join(', ')}`,
      );
    }
  }

  async twin(): Promise<{ desired: unknown; reported: unknown }> {
    const { payload } = await this.#request('the twin', getTwin, '');
    try {
      const twin: unknown = JSON.parse(payload.toString('utf8'));
      if (isMapping(twin)) return { desired: twin.desired, reported: twin.reported };
    } catch {
      // Not JSON: not a twin either.
    }
    throw new Fault('unavailable', 'the answer of edgeHub is not a twin');
  }

  async report(patch: Properties): Promise<void> {
    await this.#request('reported properties', patchReported, JSON.stringify(patch));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Fault('unavailable', 'the connection to edgeHub is closed'));
    await this.#client.endAsync(true).catch(() => {});
  }

  async #request(what: string, topic: (id: string) => string, payload: string): Promise<Reply> {
    this.#serial += 1;
    const id = String(this.#serial);
    const { promise, resolve } = Promise.withResolvers<Reply>();
    this.#pending.set(id, resolve);
    try {
      await this.#within(() => this.#client.publishAsync(topic(id), payload, { qos: 0 }), what);
      const reply = await this.#within(() => promise, what);
      if (reply.status >= 200 && reply.status < 300) return reply;
      throw new Fault('unavailable', `edgeHub answered ${reply.status} for ${what}`, {
        detail: { status: reply.status },
      });
    } finally {
      this.#pending.delete(id);
    }
  }

  /** Limits the wait for a reply: at QoS 0, one may be lost. `begin` is not called once the connection has ended. */
  async #within<T>(begin: () => Promise<T>, what: string): Promise<T> {
    const { signal } = this.#over;
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const { replyMs } = this.#options.timing;
    const expire = () =>
      reject(
        new Fault(
          'unavailable',
          `edgeHub did not answer the request for ${what} within ${formatSeconds(replyMs)}`,
        ),
      );
    const timer = setTimeout(expire, replyMs);
    const over = () => reject(signal.reason);
    signal.addEventListener('abort', over, { once: true });
    try {
      return await Promise.race([begin(), promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
    }
  }

  #receive(topic: string, payload: Buffer): void {
    const received = topicOf(topic);
    if (received?.kind === 'desired') this.#options.onPatch();
    else if (received?.kind === 'reply')
      this.#pending.get(received.id)?.({ status: received.status, payload });
    else if (received?.kind === 'method') void this.#answer(received.id, received.name, payload);
  }

  async #answer(id: string, name: string, payload: Buffer): Promise<void> {
    const { methods, log, timing } = this.#options;
    this.#calls += 1;
    const { status, text } =
      this.#calls > MAX_CALLS
        ? tooManyCalls()
        : await answerCall({ name, payload }, methods, log, timing.methodMs, this.#over.signal);
    this.#calls -= 1;
    if (this.#over.signal.aborted) return;
    log.info({ method: name, status }, 'a direct method was called');
    await this.#client.publishAsync(answerMethod(id, status), text, { qos: 0 }).catch(() => {});
  }
}

/** For an operator: mqtt's own message for a refusal names its code. */
function whyOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: unknown };
  return certificateHint(String(code)) ?? (message || String(code ?? 'no reason given'));
}
