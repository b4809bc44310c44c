import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#proto/async/backoff.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Room } from '#proto/jetstream/stream-room.ts';
import type { AgeClock } from '../metadata/age-clock.ts';
import { type Metadata, put } from '../metadata/metadata.ts';
import type { AgeMarks } from '../metadata/records.ts';

/** Min and max interval between deletions of old events, in ms; in between, a hundredth of their retention. */
const MIN_INTERVAL_MS = 60_000;
const MAX_INTERVAL_MS = 6 * 60 * 60_000;
const SHARE = 100;
/** Max marks: those of the longest retention at the longest interval, and some more. */
const MAX_MARKS = 500;
const RETRY = { firstMs: 250, maxMs: 10_000 };

export type HistoryAgeDeps = {
  bus: Pick<HistoryReader, 'archive'> & { room: Pick<Room, 'trim'> };
  metadata: Pick<Metadata, 'ageMarks' | 'writeUnsynced'>;
  age: Pick<AgeClock, 'now'>;
  log: Log;
};

/**
 * Deletes events whose retention has ended. The bus can't do that: it knows only the wall clock, and would delete the
 * history when that is set ahead. Marks record which events the stream had at which age of the layer.
 */
export class HistoryAge {
  readonly #deps: HistoryAgeDeps;
  #ttlMs = 0;
  #wake = Promise.withResolvers<void>();

  constructor(deps: HistoryAgeDeps) {
    this.#deps = deps;
  }

  /** @param ms retention time */
  set(ms: number): void {
    if (ms === this.#ttlMs) return;
    this.#ttlMs = ms;
    this.#wake.resolve();
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.#deps;
    for (let failures = 0; !signal.aborted; ) {
      let ms = Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, this.#ttlMs / SHARE));
      this.#wake = Promise.withResolvers();
      try {
        if (this.#ttlMs > 0) await this.round();
        failures = 0;
      } catch (err) {
        failures += 1;
        ms = backoffMs(failures, RETRY);
        log.debug({ err, ms }, 'old events could not be deleted; retrying');
      }
      const woken = new AbortController();
      const pause = sleep(ms, undefined, { signal: AbortSignal.any([signal, woken.signal]), ref: false });
      await Promise.race([pause.catch(() => {}), this.#wake.promise]);
      woken.abort();
    }
  }

  /** @throws Fault, Error if the bus or the metadata does not answer */
  async round(): Promise<void> {
    const { bus, metadata, age } = this.#deps;
    const { made, last } = await bus.archive.bounds();
    const stored = await metadata.ageMarks();
    const now = age.now();
    const { marks, before } = advance(stored?.made === made ? stored.marks : [], now, last, this.#ttlMs);
    if (before !== undefined) {
      for (const subject of ['events.>', 'below.>']) await bus.room.trim(subject, before);
    }
    const next: AgeMarks = { made, marks };
    await metadata.writeUnsynced(put.ageMarks(next));
  }
}

/**
 * Adds a mark, and takes those away whose time has come. Pure.
 * @param marks age of the layer, and the last sequence of the stream then; oldest first
 * @returns `before`: events before this sequence are too old
 */
export function advance(
  marks: readonly [at: number, last: number][],
  now: number,
  last: number,
  ttlMs: number,
): { marks: [number, number][]; before?: number } {
  const old = marks.findLast(([at]) => at <= now - ttlMs);
  const kept = marks.filter(([at]) => at > now - ttlMs);
  const isNew = kept.at(-1)?.[1] !== last;
  const next = [...kept, ...(isNew ? [[now, last] as [number, number]] : [])];
  // Without the oldest ones, events stay longer.
  return { marks: next.slice(-MAX_MARKS), ...(old && { before: old[1] + 1 }) };
}
