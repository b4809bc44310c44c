import { Fault } from '#proto/contract/fault.ts';

/** Weight of the newest value in a moving average. */
const WEIGHT = 0.3;
/** Interval of which the throughput is measured, in ms. */
const THROUGHPUT_MS = 1_000;
/** Min bytes of a request that measures the rate. A smaller one measures the latency. */
export const MIN_RATE_BYTES = 32 * 1024;

export type GaugeReading = { bytes: number; failures: number; refusals: number };

/** Measures the link by the requests of this process. */
export class Gauge {
  #reading: GaugeReading = { bytes: 0, failures: 0, refusals: 0 };
  readonly #now: () => number;
  #rate: number | undefined;
  #throughput: number | undefined;
  /** Of the current interval. */
  #interval = { start: 0, bytes: 0 };
  #firstByteMs: number | undefined;
  #roundTripMs: number | undefined;
  /** Called when the round trip of the link is known, or differs. */
  onRoundTrip: ((ms: number) => void) | undefined;

  /** @param now monotonic, in ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Records bytes that crossed the link, in either direction. */
  moved(bytes: number): void {
    this.#reading.bytes += bytes;
    const now = this.#now();
    const ms = now - this.#interval.start;
    // After a pause, a new interval begins.
    if (ms > 2 * THROUGHPUT_MS) this.#interval = { start: now, bytes: 0 };
    else if (ms >= THROUGHPUT_MS) {
      this.#throughput = average(this.#throughput, (this.#interval.bytes * 1_000) / ms);
      this.#interval = { start: now, bytes: 0 };
    }
    this.#interval.bytes += bytes;
  }

  /** Records the time from a request to the first byte of its answer. */
  answered(ms: number): void {
    this.#firstByteMs = average(this.#firstByteMs, ms);
  }

  /** Records the round trip of the link; `undefined`: it is unknown. */
  roundTrip(ms: number | undefined): void {
    if (ms === undefined || ms === this.#roundTripMs) return;
    this.#roundTripMs = ms;
    this.onRoundTrip?.(ms);
  }

  /** Records the bytes of a request and its time from start to end. @param slot the connection that carried them */
  carried(bytes: number, ms: number, slot?: { rate: number | undefined }): void {
    if (bytes < MIN_RATE_BYTES) return;
    const rate = (bytes * 1_000) / Math.max(1, ms);
    this.#rate = average(this.#rate, rate);
    if (slot) slot.rate = average(slot.rate, rate);
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

  /** Average rate of all connections together, in bytes/s; undefined before the first measurement. */
  get throughput(): number | undefined {
    return this.#throughput;
  }

  /** Average time to the first byte of an answer; undefined before the first measurement. */
  get firstByteMs(): number | undefined {
    return this.#firstByteMs;
  }

  /** In ms; undefined while it is unknown. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
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
