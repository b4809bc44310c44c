import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '#proto/bus/bus.ts';
import type { Log } from '#proto/contract/log.ts';

const FIRST_REST_MS = 250;
const MAX_REST_MS = 10_000;

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
    for (let done: number | undefined, rest = FIRST_REST_MS; !this.#signal.aborted; ) {
      const wanted = this.#wanted;
      if (wanted === undefined || wanted === done) break;
      try {
        await this.#bus.keepEvents(wanted);
        done = wanted;
      } catch (err) {
        this.#log.warn({ err, ms: rest }, 'how long events are kept could not be set; trying again');
        await sleep(rest * (0.75 + Math.random() / 2), undefined, { signal: this.#signal, ref: false }).catch(
          () => {},
        );
        rest = Math.min(MAX_REST_MS, rest * 2);
      }
    }
    this.#running = false;
  }
}
