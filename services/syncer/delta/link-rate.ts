import { MAX_GROUPED_BYTES } from '#proto/sync/transfers.ts';

/** Weight of the newest value in a moving average. */
const WEIGHT = 0.3;
/** An interval of measurement ends after this time with this number of bytes, or after the longer one with any. */
const INTERVAL_MS = 1_000;
const INTERVAL_BYTES = 256 * 1024;
const LONG_INTERVAL_MS = 10_000;
/** It also ends with this number of bytes when no transfer runs any more. */
const MEASURED_BYTES = 1024 * 1024;
/** Until one has ended, the rate is known with `MEASURED_BYTES`, or after this time with this number of bytes. */
const FIRST_MS = 3_000;
const FIRST_BYTES = 64 * 1024;
/** Time of an interval without `INTERVAL_BYTES` after which the link is slower than before: reports take seconds. */
const SLOWER_MS = 4_000;
/** Max time without an event of a transfer, in ms: its last one was lost. */
const MAX_SILENCE_MS = 30_000;

export const average = (before: number | undefined, value: number): number =>
  before === undefined ? value : before * (1 - WEIGHT) + value * WEIGHT;

/** A transfer as its events report it. */
type Reported = { repository: string; digest: string; size: number; delta?: { size: number } | undefined };

/**
 * Rate of the link on the way down, over all syncers of the layer: bytes of blobs, by the time in which at least one
 * crossed. Each interval counts half as much as the next one, by the logarithm of its rate, so that a link that is a
 * hundred times slower now is known after a few. Small blobs do not count, as they measure the latency, and neither
 * does content that the parent itself was still receiving, nor bytes that are made here. Pure, but for the clock.
 */
export class LinkRate {
  readonly #now: () => number;
  /** Bytes that crossed of each transfer, those that were made here, and when that was reported. */
  readonly #active = new Map<string, { crossed: number; made: number; at: number }>();
  #since: number;
  /** Of the current interval: bytes that crossed, and the time that they took. */
  #bytes = 0;
  #ms = 0;
  /** By the intervals that have ended, in bytes/s. */
  #measured: number | undefined;
  #inherited: number | undefined;

  /** @param now monotonic, in ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#since = now();
  }

  /** In bytes/s; undefined before the first measurement. */
  get bytesPerS(): number | undefined {
    if (this.#measured === undefined) return this.#isKnown ? this.#current : this.#inherited;
    if (this.#ms < SLOWER_MS || this.#bytes === 0) return this.#measured;
    // At the measured rate, the interval would have ended.
    return Math.min(this.#measured, ((this.#bytes + INTERVAL_BYTES) * 1_000) / this.#ms);
  }

  get #isKnown(): boolean {
    if (this.#bytes >= MEASURED_BYTES) return true;
    return this.#ms >= FIRST_MS && this.#bytes >= FIRST_BYTES;
  }

  /** What was measured before. It counts until it is measured here. */
  inherit(rate: number | undefined): void {
    this.#inherited ??= rate;
  }

  /** Whether the transfer is being measured. */
  has(transfer: Reported): boolean {
    return this.#active.has(keyOf(transfer));
  }

  /** A transfer begins or resumes; `present` bytes are here. @param made those of them that did not cross the link */
  started(transfer: Reported, present: number, made = 0): void {
    if (crossing(transfer) <= MAX_GROUPED_BYTES) return;
    const at = this.#elapse();
    this.#active.set(keyOf(transfer), { crossed: present - made, made, at });
  }

  /** `done` bytes are here. @param made those of them that did not cross the link */
  reached(transfer: Reported, done: number, made = 0): void {
    const key = keyOf(transfer);
    const before = this.#active.get(key);
    if (before === undefined) return;
    const at = this.#elapse();
    const crossed = done - made;
    this.#bytes += Math.max(0, crossed - before.crossed);
    if (done >= crossing(transfer)) this.#active.delete(key);
    else this.#active.set(key, { crossed, made, at });
    this.#endInterval();
  }

  /** No more of it comes for now. @param complete all bytes have crossed, apart from those that were made here */
  ended(transfer: Reported, { complete }: { complete: boolean }): void {
    const key = keyOf(transfer);
    if (complete) this.reached(transfer, crossing(transfer), this.#active.get(key)?.made);
    this.#elapse();
    this.#active.delete(key);
  }

  /** @returns now */
  #elapse(): number {
    const now = this.#now();
    if (this.#active.size > 0) this.#ms += Math.min(now - this.#since, MAX_SILENCE_MS);
    this.#since = now;
    for (const [key, { at }] of this.#active) if (now - at > MAX_SILENCE_MS) this.#active.delete(key);
    return now;
  }

  /** If it is long enough. */
  #endInterval(): void {
    const isIdle = this.#active.size === 0 && this.#bytes >= MEASURED_BYTES;
    const isLong = this.#ms >= INTERVAL_MS && this.#bytes >= INTERVAL_BYTES;
    if (!isIdle && !isLong && (this.#ms < LONG_INTERVAL_MS || this.#bytes === 0)) return;
    const rate = this.#current;
    this.#measured = this.#measured === undefined ? rate : Math.sqrt(this.#measured * rate);
    this.#bytes = 0;
    this.#ms = 0;
  }

  get #current(): number {
    return (this.#bytes * 1_000) / Math.max(1, this.#ms);
  }
}

const keyOf = ({ repository, digest }: Reported): string => `${repository}@${digest}`;

/** Bytes that cross the link. */
const crossing = ({ size, delta }: Reported): number => delta?.size ?? size;
