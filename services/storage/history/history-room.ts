import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { historyLost } from '#proto/bus/history.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import type { Room } from '#proto/jetstream/stream-room.ts';
import { Shares } from './history-share.ts';

const MIB = 1024 * 1024;
/** Fractions of the size limit of the stream: above `HIGH_WATER`, it is trimmed to `LOW_WATER`. */
const HIGH_WATER = 15 / 16;
const LOW_WATER = 3 / 4;
/** Min interval between trims, in ms: each reads the entire stream. */
const MIN_TRIM_INTERVAL_MS = 15_000;
/** Poll interval of the size of the stream, in ms: events of this layer are stored without asking for room. */
const POLL_MS = 60_000;
/** Token bucket of each child: burst in bytes, rate in bytes/s. */
const BURST_BYTES = 16 * MIB;
const BYTES_PER_S = 128 * 1024;
/** Max time that a child waits for room, in ms; after that it must retry. */
const MAX_WAIT_MS = 3_000;
/** Max children whose bucket is remembered: the most recent ones. */
const MAX_CHILDREN = 1_000;

export type HistoryRoomDeps = {
  bus: { room: Room; publish: Bus['publish'] };
  log: Log;
  /** Monotonic clock, in ms. */
  now?: () => number;
};

/** Admits the events that children report. */
export interface ReportAdmission {
  charge(child: string, bytes: number): void;
  admit(child: string, bytes: number, charged?: number): Promise<void>;
}

/**
 * Keeps room in the stream of events, so that no child pushes out events of this layer or of another child, and this
 * layer pushes out none of a child. Events of children are refused at a size at which the server would discard the
 * oldest event, of any layer.
 */
export class HistoryRoom implements ReportAdmission {
  readonly #deps: HistoryRoomDeps;
  readonly #now: () => number;
  /** Bucket by child: remaining bytes at a time in ms. */
  readonly #allowances = new BoundedMap<{ bytes: number; at: number }>(MAX_CHILDREN);
  #making: Promise<void> | undefined;
  #trimmedAt = Number.NEGATIVE_INFINITY;
  /** Bytes admitted since the server was last asked for the size. */
  #admitted = 0;
  #size: { bytes: number; limit: number; at: number } | undefined;

  constructor(deps: HistoryRoomDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
  }

  /**
   * Charges bytes of events to a child.
   * @throws Fault `too-many` with `detail.retryAfter` in s, if it exceeds its rate
   */
  charge(child: string, bytes: number): void {
    this.#mustBeWithin(child, bytes);
    this.#charge(child, bytes);
  }

  /**
   * Admits bytes of events of a child to the stream; `charged` of them are charged already.
   * @throws Fault `too-many` with `detail.retryAfter` in s, if it exceeds its rate or the stream has no room;
   *   `unavailable` if the bus does not answer
   */
  async admit(child: string, bytes: number, charged = 0): Promise<void> {
    const more = Math.max(0, bytes - charged);
    this.#mustBeWithin(child, more);
    let isFull = await this.#isFull(bytes);
    if (isFull) {
      const timeout = sleep(MAX_WAIT_MS, undefined, { ref: false });
      const making = this.#makeRoom();
      making.catch((err) => this.#deps.log.warn({ err }, 'event history could not be trimmed'));
      await Promise.race([making, timeout]);
      isFull = await this.#isFull(bytes);
    }
    if (!isFull) {
      this.#charge(child, more);
      return;
    }
    const ms = this.#trimmedAt + MIN_TRIM_INTERVAL_MS - this.#now();
    throw tooMany('the event history of this layer is full: try again later', Math.max(1_000, ms));
  }

  /** Polls the size of the stream until the signal aborts. */
  async watch(signal: AbortSignal, pollMs = POLL_MS): Promise<void> {
    while (!signal.aborted) {
      await this.trimIfFull().catch((err) =>
        this.#deps.log.debug({ err }, 'size of the event history could not be read; retrying'),
      );
      await sleep(jittered(pollMs), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Trims the stream if it is full. */
  async trimIfFull(): Promise<void> {
    this.#size = undefined;
    if (await this.#isFull(0)) await this.#makeRoom();
  }

  /** Bytes that a child may add now. */
  #allowance(child: string): number {
    const before = this.#allowances.get(child);
    return before
      ? Math.min(BURST_BYTES, before.bytes + ((this.#now() - before.at) * BYTES_PER_S) / 1_000)
      : BURST_BYTES;
  }

  /** @throws Fault `too-many` */
  #mustBeWithin(child: string, bytes: number): void {
    const left = this.#allowance(child) - bytes;
    if (left >= 0) return;
    throw tooMany(
      `${child} sends more than ${formatBytes(BYTES_PER_S)}/s of events: try again later`,
      (-left / BYTES_PER_S) * 1_000,
    );
  }

  #charge(child: string, bytes: number): void {
    const left = this.#allowance(child) - bytes;
    this.#allowances.set(child, { bytes: left, at: this.#now() });
  }

  /** Whether the stream would be full with these bytes. If not, counts them as admitted. */
  async #isFull(bytes: number): Promise<boolean> {
    const at = this.#now();
    if (!this.#size || at - this.#size.at > 1_000) {
      const size = await this.#deps.bus.room.size().catch((cause) => {
        throw new Fault('unavailable', 'the bus does not answer: try again', { cause });
      });
      this.#size = { ...size, at };
      this.#admitted = 0;
    }
    const { limit } = this.#size;
    if (limit <= 0 || this.#size.bytes + this.#admitted + bytes <= limit * HIGH_WATER) {
      this.#admitted += bytes;
      return false;
    }
    return true;
  }

  /** Trims, one at a time and with an interval in between. @throws Fault `unavailable` */
  async #makeRoom(): Promise<void> {
    if (this.#now() - this.#trimmedAt < MIN_TRIM_INTERVAL_MS) return;
    const failed = (cause: unknown) => {
      throw new Fault('unavailable', 'the event history could not be trimmed: try again', { cause });
    };
    this.#making ??= this.#trim()
      .catch(failed)
      .finally(() => {
        this.#making = undefined;
        this.#trimmedAt = this.#now();
        this.#size = undefined;
      });
    await this.#making;
  }

  async #trim(): Promise<void> {
    const { bus, log } = this.#deps;
    const { room } = bus;
    // Without events of children, the server discards the oldest ones by itself.
    if (!(await room.has('below.>'))) return;
    const { limit } = await room.size();
    const shares = new Shares();
    await room.scan(shares.add);
    for (const cut of shares.cutsTo(limit * LOW_WATER)) {
      const { owner: child, first: from, last: to, before } = cut;
      const count = await room.trim(child === undefined ? 'events.>' : `below.${child}.>`, before);
      const gap = { from, to, reason: 'trimmed' as const, count, ...(child !== undefined && { child }) };
      log.warn(gap, 'trimmed the oldest events of one layer');
      bus.publish(historyLost, gap);
    }
  }
}

function tooMany(message: string, ms: number): Fault {
  return new Fault('too-many', message, { detail: { retryAfter: Math.max(1, Math.ceil(ms / 1_000)) } });
}
