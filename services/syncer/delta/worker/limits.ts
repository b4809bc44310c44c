import { statfsSync } from 'node:fs';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes, formatSeconds } from '#proto/contract/quantity-text.ts';
import { noSpace } from '#proto/volume/space.ts';
import type { Limits, Order } from './task.ts';

/** Interval in which time, memory and the parent process are checked, in ms. */
const CHECK_MS = 50;
/** Bytes written to scratch files after which free space is checked. */
const SPACE_BYTES = 16 * 1024 * 1024;

/** Ends the work of this process when it exceeds its limits, or when the process that started it has ended. */
export class WorkLimits {
  readonly #limits: Limits;
  /** Of the scratch files. */
  readonly #folder: string;
  readonly #parent: number;
  readonly #end: number;
  readonly #maxRss: number;
  #checkedAt = 0;
  #unchecked = Number.POSITIVE_INFINITY;

  constructor({ limits, scratch, parent }: Pick<Order, 'limits' | 'scratch' | 'parent'>) {
    this.#limits = limits;
    this.#folder = scratch;
    this.#parent = parent;
    this.#end = performance.now() + limits.timeMs;
    this.#maxRss = process.memoryUsage.rss() + limits.memoryBytes;
  }

  /** Time that is left, in ms. */
  get leftMs(): number {
    return Math.max(0, this.#end - performance.now());
  }

  /** To be called often: see `DeltaOptions.signal`. @throws Fault `too-slow`, `too-large` */
  readonly throwIfAborted = (): void => {
    const now = performance.now();
    if (now - this.#checkedAt < CHECK_MS) return;
    this.#checkedAt = now;
    // Nothing could take the result, and signals do not reach a process that computes.
    if (process.ppid !== this.#parent) process.exit(1);
    if (now > this.#end) {
      throw new Fault('too-slow', `it takes longer than ${formatSeconds(this.#limits.timeMs)} (delta.time)`);
    }
    if (process.memoryUsage.rss() > this.#maxRss) {
      throw new Fault('too-large', `it needs more than ${formatBytes(this.#limits.memoryBytes)} of memory`);
    }
  };

  /** To be called before bytes are written to a scratch file. @throws Fault `no-space` */
  readonly checkSpace = (bytes: number): void => {
    this.#unchecked += bytes;
    if (this.#unchecked < SPACE_BYTES) return;
    this.#unchecked = 0;
    const { bavail, bsize } = statfsSync(this.#folder);
    const { reserveBytes: reserve } = this.#limits;
    const free = bavail * bsize;
    if (free - bytes < reserve) throw noSpace({ free, reserve, low: true });
  };
}
