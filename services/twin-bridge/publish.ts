import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import { RetryQueue } from '#proto/bus/retry-queue.ts';
import type { BusCaller, EventPublisher, StateReader, StateWatcher, StateWriter } from '#proto/bus/roles.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import {
  CONFIGURATION_KEY,
  type Configuration,
  configuration,
  configurationChanged,
} from '#proto/document/configuration.ts';
import { type AuditEntry, addAudit } from '#proto/status/audit.ts';

/** Backoff after a failed write. */
const RETRY = { firstMs: 500, maxMs: 10_000 };
/** Max time in ms that a change waits for its audit entry. */
const AUDIT_WAIT_MS = 2_000;
/** Max audit entries that wait while storage is unavailable. */
const MAX_WAITING = 200;
/** Max fields or complaints in an audit entry, and max characters of a complaint. */
const MAX_LISTED = 50;
const MAX_TEXT = 400;

/** An audit entry of a change; `recorded` is called once storage has it, or refuses it for good. */
type Change = { entry: AuditEntry; recorded: () => void };

type PublisherBus = StateReader & StateWriter & StateWatcher & EventPublisher & BusCaller;

/**
 * Keeps the state `configuration` equal to the wanted configuration. Writes it only if it differs, and again if the bus
 * lost it or another process wrote it.
 */
export class Publisher implements Disposable {
  readonly #bus: PublisherBus;
  readonly #log: Log;
  readonly #unwatch: () => void;
  readonly #onApplied: () => void;
  readonly #audit: RetryQueue<Change>;
  #wanted: Configuration | undefined;
  /** The configuration last read from the bus, or written to it. */
  #inForce: Configuration | undefined;
  #isRunning = false;
  #isPending = false;
  #isEnded = false;

  /** @param onApplied called when the wanted configuration is in force */
  constructor(bus: PublisherBus, log: Log, onApplied: () => void = () => {}) {
    this.#bus = bus;
    this.#log = log;
    this.#onApplied = onApplied;
    this.#audit = new RetryQueue<Change>(
      (change) => this.#record(change),
      (changes, err) => log.warn({ err, changes }, 'failed to record configuration changes in the audit'),
      MAX_WAITING,
    );
    this.#unwatch = bus.watch(configuration, CONFIGURATION_KEY, () => void this.#reconcile());
  }

  /** Whether the wanted configuration is in force. */
  get isApplied(): boolean {
    return this.#wanted !== undefined && this.#inForce === this.#wanted;
  }

  want(wanted: Configuration): void {
    this.#wanted = wanted;
    void this.#reconcile();
  }

  /** Records in the audit that a document is not put in force. @param complaints why */
  refuse(complaints: readonly string[]): void {
    const detail = { complaints: complaints.slice(0, MAX_LISTED).map((one) => clip(one, MAX_TEXT)) };
    const entry = { at: Date.now(), action: 'configuration/refuse', outcome: 'refused', detail } as const;
    this.#audit.add({ entry, recorded: () => {} });
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    this.#unwatch();
    void this.#audit.close();
  }

  /** Runs one at a time; a change during a run causes another one. */
  async #reconcile(): Promise<void> {
    this.#isPending = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let failures = 0; this.#isPending && !this.#isEnded; ) {
      this.#isPending = false;
      try {
        if (this.#wanted) await this.#putInForce(this.#wanted);
        failures = 0;
      } catch (err) {
        failures += 1;
        this.#isPending = true;
        this.#log.warn({ err }, 'failed to publish the configuration; retrying');
        await sleep(backoffMs(failures, RETRY), undefined, { ref: false });
      }
    }
    this.#isRunning = false;
  }

  async #putInForce(wanted: Configuration): Promise<void> {
    await this.#putIfDifferent(wanted);
    if (this.#inForce === wanted) return;
    this.#inForce = wanted;
    this.#onApplied();
  }

  async #putIfDifferent(wanted: Configuration): Promise<void> {
    // A value that an earlier version of Terrace wrote, and that can't be read any more, is overwritten.
    const current = (await this.#bus.get(configuration, CONFIGURATION_KEY))?.value;
    if (isDeepStrictEqual(current, wanted)) return;
    const fields = Object.keys({ ...current, ...wanted }).filter(
      (field) => !isDeepStrictEqual(current?.[field as 'name'], wanted[field as 'name']),
    );
    const audited = this.#addToAudit(fields);
    // At the first start, storage may start later, and other services wait for the configuration.
    if (current) await Promise.race([audited, sleep(AUDIT_WAIT_MS, undefined, { ref: false })]);
    await this.#bus.put(configuration, CONFIGURATION_KEY, wanted);
    this.#log.info({ fields }, 'configuration applied');
    this.#bus.publish(configurationChanged, { fields });
  }

  /**
   * Begins before the change is in force. Unavailable storage does not block it: log and event record it, too.
   * @returns resolves once it is recorded
   */
  #addToAudit(fields: string[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const detail = { fields: fields.slice(0, MAX_LISTED) };
    const entry = { at: Date.now(), action: 'configuration/change', outcome: 'said', detail } as const;
    this.#audit.add({ entry, recorded: resolve });
    return promise;
  }

  async #record({ entry, recorded }: Change): Promise<void> {
    try {
      await this.#bus.call(addAudit, { entries: [entry] }, { patience: AUDIT_WAIT_MS });
    } catch (err) {
      if (!Fault.is(err, 'malformed', 'too-large', 'denied')) throw err;
      this.#log.error({ err, action: entry.action }, 'audit entry rejected; dropped');
    }
    recorded();
  }
}
