import { setTimeout as sleep } from 'node:timers/promises';
import { type Static, Type } from '@sinclair/typebox';
import { ChildName } from '../accounts/children.ts';
import { backoffMs } from '../async/backoff.ts';
import { event } from '../contract/contract.ts';
import { type Envelope, readEvent } from '../contract/envelope.ts';
import { Fault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import type { Archive, From, Kept } from '../jetstream/archive.ts';
import { childOf } from './relay.ts';

/**
 * Events that are not in the stream any more, or never were: nobody can tell what they were. `expired`: they were not
 * kept for longer. `lost`: the store of the bus was. `unreadable`: what is there is no event. `trimmed`: they made room,
 * so that a layer below does not take the share of others; `child` is the one whose they were, absent for this layer's
 * own, and `count` how many of these numbers were.
 */
export const Gap = Type.Object({
  from: Type.Integer(),
  to: Type.Optional(Type.Integer()),
  reason: Type.Union([
    Type.Literal('expired'),
    Type.Literal('lost'),
    Type.Literal('unreadable'),
    Type.Literal('trimmed'),
  ]),
  child: Type.Optional(ChildName),
  count: Type.Optional(Type.Integer({ minimum: 0 })),
});
export type Gap = Static<typeof Gap>;

/**
 * Said by whoever finds it out, in the place where they are missing: events were lost with the store of the bus, or
 * were not kept long enough to be told to the parent.
 */
export const historyLost = event('history.lost', Gap);

/** `child`: the layer below that told it; absent for what happened here. */
export type Past = { sequence: number; event: Envelope; child?: string } | { gap: Gap };
export type HistoryOptions = {
  /** A sequence, or a time; the first event that is kept where it is left out. */
  since?: number | Date | undefined;
  /** Goes on with what happens, until the signal ends it; else it ends with the last event of now. */
  follow?: boolean | undefined;
  signal?: AbortSignal | undefined;
};

const PAGE = { limit: 500, waitMs: 1_000 };

export const fromOf = (from: number | Date): From =>
  typeof from === 'number' ? { sequence: Math.max(1, from) } : { time: from.getTime() };

const RETRY = { firstMs: 400, maxMs: 5_000 };
/** Failures in a row after which reading is given up where nobody follows. */
const ATTEMPTS = 4;

/**
 * The events of the stream in their order, each once, with a gap wherever some are missing. Following outlives the loss
 * of the connection, of the server and of its store.
 * @throws Fault `unavailable` where the stream can't be read and is not followed
 */
export async function* readHistory(
  archive: Archive,
  { since, follow = false, signal }: HistoryOptions,
  log: Log,
): AsyncGenerator<Past> {
  let made: string | undefined;
  let next: number | Date | undefined = since;
  let end = Number.POSITIVE_INFINITY;
  for (let failures = 0; !signal?.aborted; ) {
    try {
      const kept = await archive.kept();
      if (made === undefined && !follow) end = kept.last;
      const gap = missing(next, kept, made);
      made = kept.made;
      if (gap) {
        yield { gap };
        next = kept.first;
      }
      next ??= kept.first;
      if (typeof next === 'number' && next > end) return;
      for (let there = true; there && !signal?.aborted; ) {
        const page = await archive.read({ ...PAGE, from: fromOf(next), subject: undefined });
        let first: number | undefined;
        for (const { sequence, subject, data } of page) {
          failures = 0;
          if (sequence > end) return;
          if (typeof next === 'number' && sequence > next) {
            // Age takes them from the beginning on: behind it, only what made room is missing.
            first ??= (await archive.kept()).first;
            yield { gap: { from: next, to: sequence - 1, reason: first < sequence ? 'trimmed' : 'expired' } };
          }
          next = sequence + 1;
          const event = readEvent(data);
          const child = childOf(subject);
          if (event) yield { sequence, event, ...(child !== undefined && { child }) };
          else yield { gap: { from: sequence, to: sequence, reason: 'unreadable' } };
          if (sequence === end || signal?.aborted) return;
        }
        if (page.length > 0) continue;
        if (!follow && typeof next !== 'number') return;
        // The stream may be another one by now.
        const now = await archive.kept();
        there = now.made === made && (typeof next !== 'number' || now.last < next);
      }
    } catch (cause) {
      if (signal?.aborted) return;
      failures += 1;
      if (!follow && failures >= ATTEMPTS)
        throw new Fault('unavailable', 'events can not be read', { cause });
      const ms = backoffMs(failures, RETRY);
      log.warn({ err: cause, ms }, 'events can not be read; trying again');
      await sleep(ms, undefined, signal ? { signal } : {}).catch(() => {});
    }
  }
}

function missing(next: number | Date | undefined, kept: Kept, made: string | undefined): Gap | undefined {
  if (typeof next !== 'number') return undefined;
  if ((made !== undefined && made !== kept.made) || next > kept.last + 1)
    return { from: next, reason: 'lost' };
  return next < kept.first ? { from: next, to: kept.first - 1, reason: 'expired' } : undefined;
}
