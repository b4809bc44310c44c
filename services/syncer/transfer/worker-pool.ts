import type { Log } from '#proto/bus/bus.ts';
import { Concurrency } from './pace/concurrency.ts';
import { type Slot, Slots } from './slots.ts';

/** Bounds of an interval of measurement, in ms. */
const MIN_INTERVAL_MS = 1_000;
const MAX_INTERVAL_MS = 5_000;
/** Answers for which an interval has time. */
const ANSWERS = 3;
/** Share of the interval with all connections in use from which on more of them would have had work. */
const SATURATED = 0.8;

/** Max jobs that leave their place to others at a time. */
const MAX_ASIDE = 4;

type Worker = { stop: AbortController; ended: Promise<void> };
/** Does what needs no connection: meanwhile, another job has the place of this one. */
export type Aside = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * A worker pool with as many workers, each with one active job, as connections in use. Their number follows the
 * measurements of the link (`Concurrency`), up to the configured maximum.
 */
export class WorkerPool implements AsyncDisposable {
  /** Connections, for the requests of all jobs. */
  readonly slots = new Slots(0);
  /** Active jobs. */
  readonly #active = new Slots(0);
  readonly #concurrency = new Concurrency(1);
  readonly #log: Log;
  #work: ((signal: AbortSignal) => Promise<void>) | undefined;
  #workers: Worker[] = [];
  /** Workers that finish their active job and then end. */
  readonly #retired = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  /** Start of the current interval. */
  #begun = performance.now();
  /** Jobs that run or wait for a slot. */
  #busy = 0;
  /** Jobs that have left their place. */
  #aside = 0;

  constructor(log: Log) {
    this.#log = log;
    this.slots.gauge.onRoundTrip = (ms) => {
      this.#concurrency.roundTripMs = ms;
      this.#resize();
    };
  }

  /** Max connections. */
  set maxConnections(max: number) {
    this.#concurrency.max = max;
    this.#resize();
  }

  /** @param work takes one job after another until its signal aborts, and ends when the last one is done */
  start(work: (signal: AbortSignal) => Promise<void>): void {
    this.#work = work;
    this.#resize();
  }

  /** Runs one job as soon as a slot is free. */
  async job<T>(task: (aside: Aside) => Promise<T>): Promise<T> {
    this.#busy += 1;
    this.#wake();
    try {
      using slot = await this.#active.take();
      return await task((work) => this.#stepAside(slot, work));
    } finally {
      this.#busy -= 1;
    }
  }

  async #stepAside<T>(slot: Slot, work: () => Promise<T>): Promise<T> {
    if (this.#aside === MAX_ASIDE) return work();
    this.#aside += 1;
    slot[Symbol.dispose]();
    this.#resize();
    try {
      return await work();
    } finally {
      this.#aside -= 1;
      this.#resize();
    }
  }

  /** Resolves when all workers have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#work = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#retire(0);
    await Promise.all(this.#retired);
  }

  /** Starts to measure when a job arrives; nothing is measured while idle. */
  #wake(): void {
    if (this.#timer || !this.#work) return;
    // Armed first: a worker that `#resize` adds may call `job`, and so this method, again.
    this.#arm();
    const now = performance.now();
    const unused = { bytes: 0, failures: 0, refusals: 0, saturated: false };
    this.#concurrency.feed({ now, ms: now - this.#begun, ...unused });
    this.#begun = now;
    this.slots.gauge.read();
    this.slots.fullMs();
    this.#active.fullMs();
    this.#resize();
  }

  #arm(): void {
    const ms = Math.min(
      MAX_INTERVAL_MS,
      Math.max(MIN_INTERVAL_MS, ANSWERS * (this.slots.gauge.firstByteMs ?? 0)),
    );
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
      this.#resize();
    }
    if (this.#busy > 0) this.#arm();
  }

  #resize(): void {
    const { count } = this.#concurrency;
    this.slots.resize(count);
    this.#active.resize(count);
    const workers = count + this.#aside;
    this.#retire(workers);
    while (this.#work && this.#workers.length < workers) {
      const stop = new AbortController();
      this.#workers.push({ stop, ended: this.#work(stop.signal) });
    }
  }

  /** Ends all workers but `count`. Each finishes its active job first. */
  #retire(count: number): void {
    for (const { stop, ended } of this.#workers.splice(count)) {
      stop.abort();
      const left = ended.finally(() => this.#retired.delete(left));
      this.#retired.add(left);
    }
  }
}
