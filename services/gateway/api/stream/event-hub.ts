import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import { orAborted } from '#proto/async/unless-aborted.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { EventRing, entryOf, gapEntry } from './event-ring.ts';

/** Viewers learn of new events at most this often, in ms: a batch costs little more than one event. */
const BATCH_MS = 50;
const RETRY = { firstMs: 500, maxMs: 10_000 };

/** The last events while anybody watches. */
export type Watched = {
  ring: EventRing;
  /** Resolves with the next event, or when the hub ends. */
  changed: Promise<void>;
};

/**
 * Reads the history once for all viewers of this process, while there is at least one. `ring` is another one after the
 * history was lost: its sequences begin again.
 */
export class EventHub {
  readonly #bus: HistoryReader;
  readonly #log: Log;
  #viewers = 0;
  #reading: { ring: Promise<EventRing>; end: AbortController } | undefined;
  #changed = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(bus: HistoryReader, log: Log) {
    this.#bus = bus;
    this.#log = log;
  }

  get viewers(): number {
    return this.#viewers;
  }

  /** Watches until disposed. */
  watch(): Disposable {
    this.#viewers += 1;
    if (!this.#reading) this.#start();
    let open = true;
    return {
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        this.#viewers -= 1;
        if (this.#viewers === 0) this.#stop();
      },
    };
  }

  /** The events now, and the next change after this call. Without any, once the signal is aborted. */
  async current(signal: AbortSignal): Promise<Watched> {
    const { promise: changed } = this.#changed;
    // The history may not be readable for long.
    const ring = this.#reading && (await orAborted(signal, this.#reading.ring));
    return { ring: ring ?? new EventRing(1), changed };
  }

  /** Wakes all viewers, for instance to end them. */
  wakeAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #start(): void {
    const end = new AbortController();
    const { promise, resolve } = Promise.withResolvers<EventRing>();
    this.#reading = { ring: promise, end };
    void this.#read(end.signal, resolve);
  }

  #stop(): void {
    this.#reading?.end.abort();
    this.#reading = undefined;
    this.wakeAll();
  }

  async #read(signal: AbortSignal, onStart: (ring: EventRing) => void): Promise<void> {
    const start = await this.#startOf(signal);
    // No viewer is left, but one may still wait for its first events.
    if (start === undefined) return onStart(new EventRing(1));
    let ring = new EventRing(start);
    onStart(ring);
    for await (const past of this.#bus.history({ since: start, follow: true, batchMs: BATCH_MS, signal })) {
      if (signal.aborted) return;
      if ('gap' in past && past.gap.reason === 'lost') {
        // What follows is another stream.
        ring = new EventRing(1);
        if (this.#reading) this.#reading.ring = Promise.resolve(ring);
        ring.add({ ...gapEntry({ ...past.gap, to: 0 }), sequence: 0 });
      } else if ('gap' in past) ring.add(gapEntry(past.gap));
      else ring.add(entryOf(past.sequence, past.event, past.child));
      this.#timer ??= setTimeout(() => this.wakeAll(), BATCH_MS).unref();
    }
  }

  /** The sequence after the last event now; undefined if the watch has ended. */
  async #startOf(signal: AbortSignal): Promise<number | undefined> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        return (await this.#bus.archive.bounds()).last + 1;
      } catch (err) {
        failures += 1;
        const ms = backoffMs(failures, RETRY);
        this.#log.debug({ err, ms }, 'cannot read the history for viewers; retrying');
        await sleep(ms, undefined, { signal }).catch(() => {});
      }
    }
    return undefined;
  }
}
