import type { Log } from '#proto/bus/bus.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import type { Workload } from '#proto/iot-edge/workload.ts';
import type { TwinSession } from '#proto/status/status.ts';
import type { DirectMethod } from '../methods/method.ts';
import type { SourceState } from '../source/source.ts';
import { Conversation, systemClock, type TwinClock, type TwinDelegate } from './conversation.ts';
import type { Desired, Properties } from './desired.ts';
import { connectHub, type Hub, type HubOptions } from './hub.ts';
import { readLastGood, storeLastGood } from './last-good.ts';
import type { ModuleTwin } from './module-twin.ts';
import { resourceOf, signature, textToSign } from './sas.ts';
import { pauseAfter, TIMING, type Timing } from './timing.ts';

/**
 * The module twin of a layer, over edgeHub: MQTT on the documented topics of IoT Hub (topics.ts).
 *
 * `EdgeTwin` runs sessions, one after another, until it is disposed. A session has its own signature (sas.ts) and trust
 * bundle. It connects and subscribes (hub.ts), and runs a conversation (conversation.ts): it reads the desired
 * properties (desired.ts) and reports differences (reported-rules.ts). Meanwhile, direct methods are answered
 * (answer.ts). A session ends before its signature expires, or with the connection. After a failure, the next one
 * starts with backoff (timing.ts).
 *
 * Each new document goes to the handlers. A document in force is stored (last-good.ts): the next start begins with it,
 * without a hub.
 */

export type TwinOptions = {
  workload: Workload;
  /** The data volume: it stores the last good document, and relative paths of documents start there. */
  dataFolder: string;
  methods: ReadonlyMap<string, DirectMethod>;
  log: Log;
  timing?: Partial<Timing>;
  clock?: TwinClock;
  /** Replaces `connectHub`. */
  connect?: (options: HubOptions) => Promise<Hub>;
};

/**
 * Starts the twin of this module. It begins with the last good document, which needs no hub, and runs until it is
 * disposed.
 */
export function startTwin(options: TwinOptions): ModuleTwin {
  return new EdgeTwin(options);
}

class EdgeTwin implements ModuleTwin, TwinDelegate {
  readonly name = 'the module twin';
  readonly #options: TwinOptions;
  readonly #timing: Timing;
  readonly #clock: TwinClock;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;
  #session: TwinSession;
  #handlers = new Set<(document: SourceState) => boolean | undefined>();
  #desired: Desired | undefined;
  /** The document of `#desired` is in force and stored. */
  #stored = false;
  #conversation: Conversation | undefined;
  wanted: Properties | undefined;

  constructor(options: TwinOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#clock = options.clock ?? systemClock;
    this.#session = { connected: false, since: this.#clock.now(), detail: 'not connected yet' };
    this.#running = this.#run().catch((err) => options.log.error({ err }, 'the module twin has failed'));
  }

  get session(): TwinSession {
    return this.#session;
  }

  watch(handler: (document: SourceState) => boolean | undefined): Disposable {
    this.#handlers.add(handler);
    if (this.#desired) handler(this.#document(this.#desired));
    return { [Symbol.dispose]: () => void this.#handlers.delete(handler) };
  }

  report(wanted: Properties): void {
    this.wanted = wanted;
    this.#conversation?.wantedChanged();
  }

  /** Ignores a version that is in force and stored. A lower version means that the module was created again. */
  async take(desired: Desired): Promise<void> {
    const { log } = this.#options;
    const previous = this.#desired;
    const isSame = previous?.text === desired.text;
    if (isSame && previous.version === desired.version && this.#stored) return;
    if (previous && desired.version < previous.version) {
      log.warn(
        { before: previous.version, version: desired.version },
        'the desired properties have a lower version; the module was created again',
      );
    }
    this.#desired = desired;
    const document = this.#document(desired);
    this.#stored = [...this.#handlers]
      .map((handler) => handler(document))
      .some((isInForce) => isInForce === true);
    if (this.#stored) await this.#store(desired);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #store(desired: Desired): Promise<void> {
    try {
      await storeLastGood(this.#options.dataFolder, desired);
    } catch (err) {
      this.#stored = false;
      this.#options.log.warn({ err }, 'failed to store the desired properties; retrying after the next read');
    }
  }

  #document({ version, text }: Desired): SourceState {
    return { text, folder: this.#options.dataFolder, version };
  }

  async #run(): Promise<void> {
    const { log, dataFolder } = this.#options;
    const last = await readLastGood(dataFolder);
    if (last) {
      log.info({ version: last.version }, 'starting with the last applied desired properties');
      await this.take(last);
    } else log.info({}, 'waiting for the first desired properties');
    const { signal } = this.#end;
    for (let failures = 0; !signal.aborted; ) {
      const started = this.#clock.running();
      const why = await this.#runSession();
      if (signal.aborted) break;
      const isStable =
        this.#session.connected && this.#clock.running() - started >= this.#timing.maxBackoffMs;
      failures = why === RENEWAL || isStable ? 0 : failures + 1;
      if (why !== RENEWAL)
        this.#session = { connected: false, since: this.#clock.now(), detail: clip(why, MAX_REASON_LENGTH) };
      // Two clients with one module identity disconnect each other: neither may reconnect repeatedly without delay.
      const ms = failures === 0 ? 0 : pauseAfter(failures, this.#timing);
      if (why === RENEWAL) log.debug({}, 'renewing the session before the signature expires');
      else log.warn({ reason: why, ms: Math.round(ms) }, 'no session with edgeHub; retrying');
      await this.#clock.sleep(ms, signal);
    }
  }

  /** Runs one session. Never throws. @returns the reason why it ended */
  async #runSession(): Promise<string> {
    const { workload, log, methods, connect = connectHub } = this.#options;
    const { tokenMs, marginMs } = this.#timing;
    const over = new AbortController();
    const signal = AbortSignal.any([this.#end.signal, over.signal]);
    let renewing = false;
    try {
      const ca = await workload.trustBundle(signal);
      const ends = this.#clock.now() + tokenMs;
      const until = Math.floor(ends / 1_000);
      const resource = resourceOf(workload.identity);
      const digest = await workload.sign(textToSign(resource, until), signal);
      const conversation = new Conversation(this, log, this.#timing, this.#clock);
      await using hub = await connect({
        identity: workload.identity,
        password: signature(resource, digest, until),
        ca,
        methods,
        log,
        timing: this.#timing,
        onPatch: conversation.patched,
        signal,
      });
      conversation.onRead = () => this.#connected();
      this.#conversation = conversation;
      const renewal = this.#clock.sleep(Math.max(0, ends - marginMs - this.#clock.now()), signal).then(() => {
        renewing = !signal.aborted;
        over.abort();
      });
      try {
        const why = await conversation.run(hub, signal);
        return renewing ? RENEWAL : why;
      } finally {
        over.abort();
        await renewal;
      }
    } catch (error) {
      if (renewing) return RENEWAL;
      if (!Fault.is(error)) log.error({ err: error }, 'the session with edgeHub has failed');
      return (error as Error).message;
    } finally {
      this.#conversation = undefined;
      over.abort();
    }
  }

  #connected(): void {
    if (this.#session.connected) return;
    this.#session = { connected: true, since: this.#clock.now() };
    this.#options.log.info({}, 'the module twin is connected');
  }
}

const RENEWAL = 'the signature expires soon';
