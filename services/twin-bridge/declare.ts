import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { type DeclaredAccount, declareAccounts } from '#proto/document/declared-accounts.ts';

const RETRY = { firstMs: 250, maxMs: 10_000 };
const PATIENCE_MS = 5_000;

type DeclarerBus = Pick<Bus, 'call' | 'listen'>;

/** Has storage keep the accounts that are declared. They go to it alone: hashes stand in no state and no event. */
export class Declarer implements Disposable {
  readonly #bus: DeclarerBus;
  readonly #log: Log;
  readonly #end = new AbortController();
  readonly #unlisten: () => void;
  #wanted: DeclaredAccount[] | undefined;
  #running = false;
  #again = false;

  constructor(bus: DeclarerBus, log: Log) {
    this.#bus = bus;
    this.#log = log;
    this.#unlisten = bus.listen(storageStarted, () => void this.#settle());
  }

  want(accounts: DeclaredAccount[]): void {
    this.#wanted = accounts;
    void this.#settle();
  }

  [Symbol.dispose](): void {
    this.#end.abort();
    this.#unlisten();
  }

  /** One at a time; what changes meanwhile goes afterwards. Until storage has taken it. */
  async #settle(): Promise<void> {
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    const { signal } = this.#end;
    for (let failures = 0; this.#again && !signal.aborted; ) {
      this.#again = false;
      const accounts = this.#wanted;
      if (!accounts) break;
      try {
        await this.#bus.call(declareAccounts, { accounts }, { signal, patience: PATIENCE_MS });
        failures = 0;
      } catch (err) {
        if (signal.aborted) break;
        this.#again = true;
        if (failures === 0)
          this.#log.warn({ err }, 'storage did not take the declared accounts; trying again');
        failures += 1;
        await sleep(backoffMs(failures, RETRY), undefined, { ref: false, signal }).catch(() => {});
      }
    }
    this.#running = false;
  }
}
