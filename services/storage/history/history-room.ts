import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { historyLost } from '#proto/bus/history.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Room } from '#proto/jetstream/stream-room.ts';
import { Shares } from './history-share.ts';

const MIB = 1024 * 1024;
/** Of the limit of the stream: above the first, room is made until the second is left. */
const FULL = 15 / 16;
const ROOM = 3 / 4;
/** Room is made so often at most, as that reads through the whole stream, in ms. */
const EVERY_MS = 15_000;
/** What happens in this layer itself is not asked about: the stream is looked at so often, in ms. */
const POLL_MS = 60_000;
/** What a child may tell at once, in bytes, and in the long run, in bytes a second. */
const BURST = 16 * MIB;
const RATE = 128 * 1024;
/** A child waits no longer for room: it is told to come again, in ms. */
const PATIENCE_MS = 3_000;
/** Of children that told nothing for long, nothing is remembered. */
const MAX_CHILDREN = 1_000;

export type RoomDeps = {
  bus: { room: Room; publish: Bus['publish'] };
  log: Log;
  /** Milliseconds of a clock that only goes forward. */
  now?: () => number;
};

/**
 * Keeps room in the stream of events, so that no layer below pushes out what happened here or in another one, and this
 * one not what happened below: nothing from below is stored where the server would have to take away the oldest event
 * of whoever it is.
 */
export class HistoryRoom {
  readonly #deps: RoomDeps;
  readonly #now: () => number;
  /** By child: what it may tell at once, and when that was so. */
  readonly #allowances = new Map<string, { bytes: number; at: number }>();
  #making: Promise<void> | undefined;
  #madeAt = Number.NEGATIVE_INFINITY;
  /** Let in since the server was last asked for the size. */
  #since = 0;
  #size: { bytes: number; limit: number; at: number } | undefined;

  constructor(deps: RoomDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
  }

  /**
   * A child tells so many bytes.
   * @throws Fault `too-many`, with the seconds after which it may
   */
  charge(child: string, bytes: number): void {
    this.#mustBeWithin(child, bytes);
    this.#charge(child, bytes);
  }

  /**
   * A child is about to have so many bytes stored, of which `charged` are charged already.
   * @throws Fault `too-many`, with the seconds after which it may: it tells too much, or there is no room now
   */
  async admit(child: string, bytes: number, charged = 0): Promise<void> {
    const more = Math.max(0, bytes - charged);
    this.#mustBeWithin(child, more);
    let full = await this.#isFull(bytes);
    if (full) {
      const soon = sleep(PATIENCE_MS, undefined, { ref: false });
      const making = this.#make();
      making.catch((err) => this.#deps.log.warn({ err }, 'no room can be made in the history now'));
      await Promise.race([making, soon]);
      full = await this.#isFull(bytes);
    }
    if (!full) {
      this.#charge(child, more);
      return;
    }
    const ms = this.#madeAt + EVERY_MS - this.#now();
    throw tooMany('the history of this layer is full: it is making room', Math.max(1_000, ms));
  }

  /** Looks at the stream from time to time, until the signal ends it. */
  async watch(signal: AbortSignal, pollMs = POLL_MS): Promise<void> {
    while (!signal.aborted) {
      await this.look().catch((err) =>
        this.#deps.log.debug({ err }, 'the size of the history is not known; looking again'),
      );
      await sleep(jittered(pollMs), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Makes room where there is none. */
  async look(): Promise<void> {
    this.#size = undefined;
    if (await this.#isFull(0)) await this.#make();
  }

  /** What a child may tell now, in bytes. */
  #allowance(child: string): number {
    const before = this.#allowances.get(child);
    return before ? Math.min(BURST, before.bytes + ((this.#now() - before.at) * RATE) / 1_000) : BURST;
  }

  /** @throws Fault `too-many` */
  #mustBeWithin(child: string, bytes: number): void {
    const left = this.#allowance(child) - bytes;
    if (left >= 0) return;
    throw tooMany(
      `${child} tells more than ${RATE / 1024} KiB of events a second: its next ones are taken later`,
      (-left / RATE) * 1_000,
    );
  }

  #charge(child: string, bytes: number): void {
    const left = this.#allowance(child) - bytes;
    // The one that told something last is the last in the map.
    this.#allowances.delete(child);
    this.#allowances.set(child, { bytes: left, at: this.#now() });
    const [oldest] = this.#allowances.keys();
    if (this.#allowances.size > MAX_CHILDREN && oldest !== undefined) this.#allowances.delete(oldest);
  }

  /** Whether the stream would be, with so many bytes more. */
  async #isFull(bytes: number): Promise<boolean> {
    const at = this.#now();
    if (!this.#size || at - this.#size.at > 1_000) {
      const size = await this.#deps.bus.room.size().catch((cause) => {
        throw new Fault('unavailable', 'the bus does not answer now', { cause });
      });
      this.#size = { ...size, at };
      this.#since = 0;
    }
    const { limit } = this.#size;
    if (limit <= 0 || this.#size.bytes + this.#since + bytes <= limit * FULL) {
      this.#since += bytes;
      return false;
    }
    return true;
  }

  /** One after another, and none soon after another one. */
  async #make(): Promise<void> {
    if (this.#now() - this.#madeAt < EVERY_MS) return;
    const failed = (cause: unknown) => {
      throw new Fault('unavailable', 'no room can be made in the history now', { cause });
    };
    this.#making ??= this.#trim()
      .catch(failed)
      .finally(() => {
        this.#making = undefined;
        this.#madeAt = this.#now();
        this.#size = undefined;
      });
    await this.#making;
  }

  async #trim(): Promise<void> {
    const { bus, log } = this.#deps;
    const { room } = bus;
    // Where nothing is from below, what goes is the oldest, as the server has it.
    if (!(await room.has('below.>'))) return;
    const { limit } = await room.size();
    const shares = new Shares();
    await room.scan(shares.add);
    for (const cut of shares.cutsTo(limit * ROOM)) {
      const { owner: child, first: from, last: to, before } = cut;
      const count = await room.trim(child === undefined ? 'events.>' : `below.${child}.>`, before);
      const gap = { from, to, reason: 'trimmed' as const, count, ...(child !== undefined && { child }) };
      log.warn(gap, 'the oldest events of one layer made room in the history');
      bus.publish(historyLost, gap);
    }
  }
}

function tooMany(message: string, ms: number): Fault {
  return new Fault('too-many', message, { detail: { retryAfter: Math.max(1, Math.ceil(ms / 1_000)) } });
}
