import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type AuditEntry, addAudit } from '#proto/audit.ts';
import type { Bus, Log } from '#proto/bus.ts';
import {
  CONFIGURATION_KEY,
  type Configuration,
  configuration,
  configurationChanged,
} from '#proto/configuration.ts';

const AUDIT_PATIENCE_MS = 2_000;

type PublisherBus = Pick<Bus, 'get' | 'put' | 'watch' | 'publish' | 'call'>;

/**
 * Keeps the state `configuration` equal to what is wanted: writes only where it differs, and writes again where
 * the bus lost it or somebody else wrote it.
 */
export class Publisher implements Disposable {
  readonly #bus: PublisherBus;
  readonly #log: Log;
  readonly #unwatch: () => void;
  readonly #changed: () => void;
  #wanted: Configuration | undefined;
  /** What was last seen on the bus, or put there. */
  #inForce: Configuration | undefined;
  #running = false;
  #again = false;
  #ended = false;

  /** @param changed is called when what is wanted has come into force */
  constructor(bus: PublisherBus, log: Log, changed: () => void = () => {}) {
    this.#bus = bus;
    this.#log = log;
    this.#changed = changed;
    this.#unwatch = bus.watch(configuration, CONFIGURATION_KEY, () => void this.#settle());
  }

  /** Whether what is wanted is in force. */
  get settled(): boolean {
    return this.#wanted !== undefined && this.#inForce === this.#wanted;
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
    if (this.#inForce === wanted) return;
    this.#inForce = wanted;
    this.#changed();
  }

  async #put(wanted: Configuration): Promise<void> {
    // One that an earlier Terrace wrote, and that can't be read any more, is written over.
    const there = (await this.#bus.get(configuration, CONFIGURATION_KEY))?.value;
    if (isDeepStrictEqual(there, wanted)) return;
    const fields = Object.keys({ ...there, ...wanted }).filter(
      (field) => !isDeepStrictEqual(there?.[field as 'name'], wanted[field as 'name']),
    );
    const audited = this.#audit(fields);
    // At the first start storage may come later, and others wait for the configuration.
    if (there) await audited;
    await this.#bus.put(configuration, CONFIGURATION_KEY, wanted);
    this.#log.info({ fields }, 'the configuration is in force');
    this.#bus.publish(configurationChanged, { fields });
  }

  /** Before it is in force. Storage that is away holds nothing up: the log and the event say it as well. */
  async #audit(fields: string[]): Promise<void> {
    const entry: AuditEntry = {
      at: Date.now(),
      action: 'configuration/change',
      outcome: 'said',
      detail: { fields: fields.slice(0, 50) },
    };
    await this.#bus
      .call(addAudit, { entries: [entry] }, { patience: AUDIT_PATIENCE_MS })
      .catch((err) => this.#log.warn({ err, fields }, 'a change of the configuration is not in the audit'));
  }
}
