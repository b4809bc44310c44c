import type { Log } from '#proto/bus/bus.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON } from '#proto/contract/fault.ts';
import type { Workload } from '#proto/iot-edge/workload.ts';
import type { Session } from '#proto/status/status.ts';
import type { Method } from '../methods/method.ts';
import type { Found } from '../source/source.ts';
import { type Clock, Conversation, systemClock, type TwinDelegate } from './conversation.ts';
import type { Desired, Properties } from './desired.ts';
import { connectHub, type Hub, type HubOptions } from './hub.ts';
import { keepLastGood, readLastGood } from './last-good.ts';
import type { ModuleTwin } from './module-twin.ts';
import { resourceOf, signature, textToSign } from './sas.ts';
import { pauseAfter, TIMING, type Timing } from './timing.ts';

export type TwinOptions = {
  workload: Workload;
  /** The data volume, where the last good document is kept, and where relative paths of documents start. */
  dataFolder: string;
  methods: ReadonlyMap<string, Method>;
  log: Log;
  timing?: Partial<Timing>;
  clock?: Clock;
  /** For a hub that is reached in another way. */
  connect?: (options: HubOptions) => Promise<Hub>;
};

/**
 * The twin of this module, over edgeHub: sessions one after another, each with a signature and trust of its own, for
 * as long as the layer runs. It starts with the last good document, and needs no hub for that.
 */
export function startTwin(options: TwinOptions): ModuleTwin {
  return new EdgeTwin(options);
}

class EdgeTwin implements ModuleTwin, TwinDelegate {
  readonly name = 'the module twin';
  readonly #options: TwinOptions;
  readonly #timing: Timing;
  readonly #clock: Clock;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;
  #session: Session;
  #handlers = new Set<(found: Found) => boolean | undefined>();
  #desired: Desired | undefined;
  /** The document of `#desired` is in force, and is kept. */
  #kept = false;
  #conversation: Conversation | undefined;
  wanted: Properties | undefined;

  constructor(options: TwinOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#clock = options.clock ?? systemClock;
    this.#session = { connected: false, since: this.#clock.now(), detail: 'not connected yet' };
    this.#running = this.#run().catch((err) => options.log.error({ err }, 'the module twin has failed'));
  }

  get session(): Session {
    return this.#session;
  }

  watch(handler: (found: Found) => boolean | undefined): Disposable {
    this.#handlers.add(handler);
    if (this.#desired) handler(this.#found(this.#desired));
    return { [Symbol.dispose]: () => void this.#handlers.delete(handler) };
  }

  report(wanted: Properties): void {
    this.wanted = wanted;
    this.#conversation?.wantedChanged();
  }

  /** The same document is no news, whatever its version; a lower version is one of a module that was made anew. */
  async take(desired: Desired): Promise<void> {
    const { log } = this.#options;
    const before = this.#desired;
    const same = before?.text === desired.text;
    if (same && before.version === desired.version && this.#kept) return;
    if (before && desired.version < before.version) {
      log.warn({ before: before.version, version: desired.version }, 'the desired properties began anew');
    }
    this.#desired = desired;
    const found = this.#found(desired);
    this.#kept = [...this.#handlers].map((handler) => handler(found)).some((good) => good === true);
    if (this.#kept) await this.#keep(desired);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #keep(desired: Desired): Promise<void> {
    try {
      await keepLastGood(this.#options.dataFolder, desired);
    } catch (err) {
      this.#kept = false;
      this.#options.log.warn(
        { err },
        'the desired properties could not be kept; trying again with the next look',
      );
    }
  }

  #found({ version, text }: Desired): Found {
    return { text, folder: this.#options.dataFolder, version };
  }

  async #run(): Promise<void> {
    const { log, dataFolder } = this.#options;
    const last = await readLastGood(dataFolder);
    if (last) {
      log.info({ version: last.version }, 'starts with the desired properties that were in force last');
      await this.take(last);
    } else log.info({}, 'waits for the first desired properties');
    const { signal } = this.#end;
    for (let failures = 0; !signal.aborted; ) {
      const began = this.#clock.now();
      const why = await this.#once();
      if (signal.aborted) break;
      const lived = this.#session.connected && this.#clock.now() - began >= this.#timing.mostPause;
      failures = why === RENEWAL || lived ? 0 : failures + 1;
      if (why !== RENEWAL)
        this.#session = { connected: false, since: this.#clock.now(), detail: clip(why, MAX_REASON) };
      // Two that claim to be the same module throw each other out: neither may come back at once, again and again.
      const ms = failures === 0 ? 0 : pauseAfter(failures, this.#timing);
      if (why === RENEWAL) log.debug({}, 'a new session begins before the signature ends');
      else log.warn({ reason: why, ms: Math.round(ms) }, 'no session with edgeHub; trying again');
      await this.#clock.sleep(ms, signal);
    }
  }

  /** One session. @returns why it ended; never throws */
  async #once(): Promise<string> {
    const { workload, log, methods, connect = connectHub } = this.#options;
    const { token, margin } = this.#timing;
    const over = new AbortController();
    const signal = AbortSignal.any([this.#end.signal, over.signal]);
    let renewing = false;
    try {
      const ca = await workload.trustBundle(signal);
      const ends = this.#clock.now() + token;
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
      conversation.onLook = () => this.#connected();
      this.#conversation = conversation;
      const renewal = this.#clock.sleep(Math.max(0, ends - margin - this.#clock.now()), signal).then(() => {
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

const RENEWAL = 'the signature ends soon';
