import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller, EventListener } from '#proto/bus/roles.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { type DeclaredAccount, declareAccounts } from '#proto/document/declared-accounts.ts';

/** Backoff after a failed request. */
const RETRY = { firstMs: 250, maxMs: 10_000 };
/** Max wait for storage, in ms. */
const PATIENCE_MS = 5_000;

type DeclarerBus = BusCaller & EventListener;

/**
 * Sends the declared accounts to storage, and again after each start of storage. They go to storage only: states and
 * events must not have password hashes.
 */
export class Declarer implements Disposable {
  readonly #bus: DeclarerBus;
  readonly #log: Log;
  readonly #end = new AbortController();
  readonly #unlisten: () => void;
  readonly #onApplied: () => void;
  #wanted: DeclaredAccount[] | undefined;
  /** What storage accepted last. */
  #declared: DeclaredAccount[] | undefined;
  #isRunning = false;
  #isPending = false;

  /** @param onApplied called when storage has accepted the wanted accounts */
  constructor(bus: DeclarerBus, log: Log, onApplied: () => void = () => {}) {
    this.#bus = bus;
    this.#log = log;
    this.#onApplied = onApplied;
    this.#unlisten = bus.listen(storageStarted, () => void this.#send());
  }

  /** Whether storage has accepted the wanted accounts. */
  get isApplied(): boolean {
    return this.#wanted !== undefined && this.#declared === this.#wanted;
  }

  want(accounts: DeclaredAccount[]): void {
    this.#wanted = accounts;
    void this.#send();
  }

  [Symbol.dispose](): void {
    this.#end.abort();
    this.#unlisten();
  }

  /** Runs one at a time; a change during a run causes another one. Retries until storage accepts. */
  async #send(): Promise<void> {
    this.#isPending = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    const { signal } = this.#end;
    for (let failures = 0; this.#isPending && !signal.aborted; ) {
      this.#isPending = false;
      const accounts = this.#wanted;
      if (!accounts) break;
      try {
        await this.#bus.call(declareAccounts, { accounts }, { signal, patience: PATIENCE_MS });
        failures = 0;
        if (this.#declared !== accounts) {
          this.#declared = accounts;
          this.#onApplied();
        }
      } catch (err) {
        if (signal.aborted) break;
        this.#isPending = true;
        if (failures === 0) this.#log.warn({ err }, 'storage did not accept the declared accounts; retrying');
        failures += 1;
        await sleep(backoffMs(failures, RETRY), undefined, { ref: false, signal }).catch(() => {});
      }
    }
    this.#isRunning = false;
  }
}
