import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { Bus } from '#proto/bus/bus.ts';
import type { Log } from '#proto/contract/log.ts';

const RETRY = { firstMs: 250, maxMs: 10_000 };

/** Has events kept for as long as was last asked; what the bus can't do now is tried again. */
export class HistoryAge {
  readonly #bus: Pick<Bus, 'keepEvents'>;
  readonly #log: Log;
  readonly #signal: AbortSignal;
  #wanted: number | undefined;
  #running = false;

  constructor(bus: Pick<Bus, 'keepEvents'>, log: Log, signal: AbortSignal) {
    this.#bus = bus;
    this.#log = log;
    this.#signal = signal;
  }

  set(ms: number): void {
    this.#wanted = ms;
    void this.#settle();
  }

  async #settle(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let done: number | undefined, failures = 0; !this.#signal.aborted; ) {
      const wanted = this.#wanted;
      if (wanted === undefined || wanted === done) break;
      try {
        await this.#bus.keepEvents(wanted);
        done = wanted;
      } catch (err) {
        failures += 1;
        const ms = backoffMs(failures, RETRY);
        this.#log.warn({ err, ms }, 'how long events are kept could not be set; trying again');
        await sleep(ms, undefined, { signal: this.#signal, ref: false }).catch(() => {});
      }
    }
    this.#running = false;
  }
}
