import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { RetentionSetter } from '#proto/bus/roles.ts';
import type { Log } from '#proto/contract/log.ts';

const RETRY = { firstMs: 250, maxMs: 10_000 };

/** Applies the latest retention time of events to the bus; retries with backoff. */
export class HistoryAge {
  readonly #bus: RetentionSetter;
  readonly #log: Log;
  readonly #signal: AbortSignal;
  #wanted: number | undefined;
  #running = false;

  constructor(bus: RetentionSetter, log: Log, signal: AbortSignal) {
    this.#bus = bus;
    this.#log = log;
    this.#signal = signal;
  }

  /** @param ms retention time */
  set(ms: number): void {
    this.#wanted = ms;
    void this.#apply();
  }

  async #apply(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let applied: number | undefined, failures = 0; !this.#signal.aborted; ) {
      const wanted = this.#wanted;
      if (wanted === undefined || wanted === applied) break;
      try {
        await this.#bus.setEventRetention(wanted);
        applied = wanted;
      } catch (err) {
        failures += 1;
        const ms = backoffMs(failures, RETRY);
        this.#log.warn({ err, ms }, 'event retention could not be set; retrying');
        await sleep(ms, undefined, { signal: this.#signal, ref: false }).catch(() => {});
      }
    }
    this.#running = false;
  }
}
