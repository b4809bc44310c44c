import { Fault } from '#proto/contract/fault.ts';

/** How much the newest counts in an average. */
const WEIGHT = 0.3;
/** What is shorter tells the latency and not the rate. */
const TELLING_BYTES = 32 * 1024;

export type Reading = { bytes: number; failures: number; refusals: number };

/** What the requests of this process show of the link. */
export class Gauge {
  #reading: Reading = { bytes: 0, failures: 0, refusals: 0 };
  #rate: number | undefined;
  #firstByteMs: number | undefined;

  /** Bytes went over the link, either way. */
  moved(bytes: number): void {
    this.#reading.bytes += bytes;
  }

  /** A request was answered so long after it was sent. */
  answered(ms: number): void {
    this.#firstByteMs = average(this.#firstByteMs, ms);
  }

  /** A request took so long for so many bytes, from its beginning to its end. */
  carried(bytes: number, ms: number): void {
    if (bytes >= TELLING_BYTES) this.#rate = average(this.#rate, (bytes * 1_000) / Math.max(1, ms));
  }

  failed(error: unknown): void {
    if (!(error instanceof Fault)) return;
    const { status } = error.detail ?? {};
    if (status === 429 || status === 503) this.#reading.refusals += 1;
    else if (error.code === 'parent-unreachable') this.#reading.failures += 1;
  }

  /** Of one connection, in bytes a second; undefined as long as nothing has shown it. */
  get rate(): number | undefined {
    return this.#rate;
  }

  /** Average time to the first byte of an answer. */
  get firstByteMs(): number | undefined {
    return this.#firstByteMs;
  }

  /** Since it was last read. */
  read(): Reading {
    const reading = this.#reading;
    this.#reading = { bytes: 0, failures: 0, refusals: 0 };
    return reading;
  }
}

const average = (before: number | undefined, value: number): number =>
  before === undefined ? value : before * (1 - WEIGHT) + value * WEIGHT;
