import { join } from 'node:path';
import type { Static, TSchema } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import type { Event } from '#proto/contract/contract.ts';
import type { ReceivedEvent } from '#proto/contract/envelope.ts';
import { connectOperator } from '../../cli/connection/connect.ts';
import { anyEvent, followPass } from '../../cli/connection/follow-pass.ts';
import { dataFolder, makeFolders } from '../../cli/data/data-folder.ts';
import { freePort } from '../../cli/data/ports.ts';
import { resolveConfiguration } from '../../cli/input/options.ts';
import { type Layer, startLayer } from '../../cli/layer/layer.ts';
import { LogFile } from '../../cli/layer/layer-log.ts';

/** Max time for a layer to start, and for anything that the demo waits for, in ms. */
export const MAX_WAIT_MS = 120_000;
/** Max events that are kept. */
const MAX_EVENTS = 5_000;

export type WatchedLayerOptions = {
  name: string;
  /** Its data are in a folder of its name in this one. */
  folder: string;
  /** URL. */
  parent?: string;
  signal: AbortSignal;
  /** Gets what concerns people. */
  notice: (text: string) => void;
};

/** A layer on a free port of 127.0.0.1, all of its services in one process, and its events. */
export class WatchedLayer implements AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly #layer: Layer;
  readonly #bus: Bus;
  readonly #signal: AbortSignal;
  readonly #events: ReceivedEvent<unknown>[] = [];
  readonly #listeners = new Set<() => void>();

  static async start({ name, folder, parent, signal, notice }: WatchedLayerOptions): Promise<WatchedLayer> {
    const data = join(folder, name);
    const overrides = {
      name,
      listen: `127.0.0.1:${await freePort()}`,
      ...(parent && { parent: { url: parent } }),
    };
    const { configuration } = resolveConfiguration({ data }, overrides, undefined, { readable: () => true });
    await makeFolders(data);
    const outlets = { line: new LogFile(dataFolder(data).log).write, terminal: () => {} };
    const first = { ...outlets, terminal: (text: string) => /^Installing/.test(text) && notice(text) };
    const layer = await startLayer({ data, configuration, overrides, compact: true, outlets: first });
    try {
      await layer.ready(AbortSignal.any([signal, AbortSignal.timeout(MAX_WAIT_MS)]));
      return new WatchedLayer(name, layer, await connectOperator(data, 'terrace-demo'), signal);
    } catch (error) {
      await layer.stop();
      throw error;
    }
  }

  private constructor(name: string, layer: Layer, bus: Bus, signal: AbortSignal) {
    this.name = name;
    this.url = layer.url;
    this.#layer = layer;
    this.#bus = bus;
    this.#signal = signal;
    bus.listen(anyEvent, (event) => {
      this.#events.push(event);
      if (this.#events.length > MAX_EVENTS) this.#events.shift();
      for (const wake of this.#listeners) wake();
    });
  }

  /** Begins a pass, and resolves at its end. */
  async sync(): Promise<void> {
    await followPass(this.#bus, { signal: this.#signal });
  }

  /**
   * The first event of this type that satisfies the predicate, received before or within `MAX_WAIT_MS`.
   * @param what for the complaint if there is none
   */
  async event<T extends TSchema>(
    { type }: Event<T>,
    what: string,
    predicate: (data: Static<T>) => boolean,
  ): Promise<Static<T>> {
    const timeout = AbortSignal.timeout(MAX_WAIT_MS);
    for (;;) {
      const found = this.#events.find(
        (event) => event.type === `terrace.${type}` && predicate(event.data as Static<T>),
      );
      if (found) return found.data as Static<T>;
      this.#signal.throwIfAborted();
      if (timeout.aborted) throw new Error(`${this.name}: not within ${MAX_WAIT_MS / 1_000} s: ${what}`);
      await this.#nextEvent(AbortSignal.any([timeout, this.#signal]));
    }
  }

  /** Calls `report` for each event of this type from now on. @returns ends that */
  on<T extends TSchema>(event: Event<T>, report: (data: Static<T>) => void): () => void {
    return this.#bus.listen(event, ({ data }) => report(data));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus[Symbol.asyncDispose]();
    await this.#layer.stop();
  }

  #nextEvent(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#listeners.add(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    return promise.finally(() => this.#listeners.delete(resolve));
  }
}
