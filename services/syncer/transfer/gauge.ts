import { Fault } from '#proto/contract/fault.ts';

/** Weight of the newest value in a moving average. */
const WEIGHT = 0.3;
/** Min bytes of a request that measures the rate. A smaller one measures the latency. */
const MIN_RATE_BYTES = 32 * 1024;

export type GaugeReading = { bytes: number; failures: number; refusals: number };

/** Measures the link by the requests of this process. */
export class Gauge {
  #reading: GaugeReading = { bytes: 0, failures: 0, refusals: 0 };
  #rate: number | undefined;
  #firstByteMs: number | undefined;

  /** Records bytes that crossed the link, in either direction. */
  moved(bytes: number): void {
    this.#reading.bytes += bytes;
  }

  /** Records the time from a request to the first byte of its answer. */
  answered(ms: number): void {
    this.#firstByteMs = average(this.#firstByteMs, ms);
  }

  /** Records the bytes of a request and its time from start to end. */
  carried(bytes: number, ms: number): void {
    if (bytes >= MIN_RATE_BYTES) this.#rate = average(this.#rate, (bytes * 1_000) / Math.max(1, ms));
  }

  /** Counts a failure: answers 429 and 503 as refusals, an unreachable parent as a failure. */
  failed(error: unknown): void {
    if (!(error instanceof Fault)) return;
    const { status } = error.detail ?? {};
    if (status === 429 || status === 503) this.#reading.refusals += 1;
    else if (error.code === 'parent-unreachable') this.#reading.failures += 1;
  }

  /** Average rate of one connection, in bytes/s; undefined before the first measurement. */
  get rate(): number | undefined {
    return this.#rate;
  }

  /** Average time to the first byte of an answer; undefined before the first measurement. */
  get firstByteMs(): number | undefined {
    return this.#firstByteMs;
  }

  /** The counts since the last call. */
  read(): GaugeReading {
    const reading = this.#reading;
    this.#reading = { bytes: 0, failures: 0, refusals: 0 };
    return reading;
  }
}

const average = (before: number | undefined, value: number): number =>
  before === undefined ? value : before * (1 - WEIGHT) + value * WEIGHT;
