import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Bus, Log } from '#proto/bus.ts';
import {
  CONFIGURATION_KEY,
  type Configuration,
  configuration,
  configurationChanged,
} from '#proto/configuration.ts';

type PublisherBus = Pick<Bus, 'get' | 'put' | 'watch' | 'publish'>;

/**
 * Keeps the state `configuration` equal to what is wanted: writes only where it differs, and writes again where
 * the bus lost it or somebody else wrote it.
 */
export class Publisher implements Disposable {
  readonly #bus: PublisherBus;
  readonly #log: Log;
  readonly #unwatch: () => void;
  #wanted: Configuration | undefined;
  #running = false;
  #again = false;
  #ended = false;

  constructor(bus: PublisherBus, log: Log) {
    this.#bus = bus;
    this.#log = log;
    this.#unwatch = bus.watch(configuration, CONFIGURATION_KEY, () => void this.#settle());
  }

  want(wanted: Configuration): void {
    this.#wanted = wanted;
    void this.#settle();
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#unwatch();
  }

  /** One at a time; what changes meanwhile is looked at afterwards. */
  async #settle(): Promise<void> {
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    for (let failures = 0; this.#again && !this.#ended; ) {
      this.#again = false;
      try {
        await this.#compare();
        failures = 0;
      } catch (err) {
        failures += 1;
        this.#again = true;
        this.#log.warn({ err }, 'the configuration could not be put on the bus; trying again');
        await sleep(Math.min(10_000, 250 * 2 ** failures), undefined, { ref: false });
      }
    }
    this.#running = false;
  }

  async #compare(): Promise<void> {
    const wanted = this.#wanted;
    if (!wanted) return;
    await this.#put(wanted);
  }

  async #put(wanted: Configuration): Promise<void> {
    // One that an earlier Terrace wrote, and that can't be read any more, is written over.
    const there = (await this.#bus.get(configuration, CONFIGURATION_KEY))?.value;
    if (isDeepStrictEqual(there, wanted)) return;
    await this.#bus.put(configuration, CONFIGURATION_KEY, wanted);
    const fields = Object.keys({ ...there, ...wanted }).filter(
      (field) => !isDeepStrictEqual(there?.[field as 'name'], wanted[field as 'name']),
    );
    this.#log.info({ fields }, 'the configuration is in force');
    this.#bus.publish(configurationChanged, { fields });
  }
}
