import type { Log } from '#proto/bus/bus.ts';
import { Concurrency } from './concurrency.ts';
import { Slots } from './slots.ts';

/** Intervals have room for a few answers each. */
const MIN_MS = 1_000;
const MAX_MS = 5_000;
const ANSWERS = 3;
/** From this share of the time on, more connections would have had work. */
const SATURATED = 0.8;

type Worker = { stop: AbortController; ended: Promise<void> };

/**
 * As many workers, each with one job in hand, as connections are in use; both follow what the link shows and what
 * the configuration allows.
 */
export class WorkerPool implements AsyncDisposable {
  readonly slots = new Slots(0);
  /** Jobs in hand. */
  readonly #active = new Slots(0);
  readonly #concurrency = new Concurrency(1);
  readonly #log: Log;
  #work: ((signal: AbortSignal) => Promise<void>) | undefined;
  #workers: Worker[] = [];
  readonly #leaving = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #begun = performance.now();
  /** Jobs that run or wait for a hand. */
  #busy = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The most connections. */
  set most(most: number) {
    this.#concurrency.most = most;
    this.#follow();
  }

  /** @param work takes one job after another until its signal aborts, and ends when the last one is done */
  start(work: (signal: AbortSignal) => Promise<void>): void {
    this.#work = work;
    this.#follow();
  }

  /** Runs one job, when there is a hand for it. */
  async job<T>(task: () => Promise<T>): Promise<T> {
    this.#busy += 1;
    this.#wake();
    try {
      using _hand = await this.#active.take();
      return await task();
    } finally {
      this.#busy -= 1;
    }
  }

  /** Resolves when all workers have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#work = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#retire(0);
    await Promise.all(this.#leaving);
  }

  /** Nothing is measured while there is nothing to do. */
  #wake(): void {
    if (this.#timer || !this.#work) return;
    // First: workers that are added ask for jobs of their own.
    this.#arm();
    const now = performance.now();
    const unused = { bytes: 0, failures: 0, refusals: 0, saturated: false };
    this.#concurrency.feed({ now, ms: now - this.#begun, ...unused });
    this.#begun = now;
    this.slots.gauge.read();
    this.slots.fullMs();
    this.#active.fullMs();
    this.#follow();
  }

  #arm(): void {
    const ms = Math.min(MAX_MS, Math.max(MIN_MS, ANSWERS * (this.slots.gauge.firstByteMs ?? 0)));
    this.#timer = setTimeout(() => this.#measure(), ms).unref();
  }

  #measure(): void {
    this.#timer = undefined;
    const now = performance.now();
    const ms = now - this.#begun;
    this.#begun = now;
    const full = Math.max(this.slots.fullMs(), this.#active.fullMs());
    const reading = this.slots.gauge.read();
    this.#concurrency.feed({ now, ms, saturated: full >= SATURATED * ms, ...reading });
    if (this.#concurrency.count !== this.slots.count) {
      const { count } = this.#concurrency;
      this.#log.debug({ connections: count, rate: Math.round((reading.bytes * 1_000) / ms) }, 'connections');
      this.#follow();
    }
    if (this.#busy > 0) this.#arm();
  }

  #follow(): void {
    const { count } = this.#concurrency;
    this.slots.resize(count);
    this.#active.resize(count);
    this.#retire(count);
    while (this.#work && this.#workers.length < count) {
      const stop = new AbortController();
      this.#workers.push({ stop, ended: this.#work(stop.signal) });
    }
  }

  /** What a worker has in hand it finishes. */
  #retire(count: number): void {
    for (const { stop, ended } of this.#workers.splice(count)) {
      stop.abort();
      const left = ended.finally(() => this.#leaving.delete(left));
      this.#leaving.add(left);
    }
  }
}
