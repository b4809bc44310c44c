import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import {
  CONFIGURATION_KEY,
  type Configuration,
  configuration,
  configurationChanged,
} from '#proto/document/configuration.ts';
import { type AuditEntry, addAudit } from '#proto/status/audit.ts';

const RETRY = { firstMs: 500, maxMs: 10_000 };
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
        await sleep(backoffMs(failures, RETRY), undefined, { ref: false });
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
