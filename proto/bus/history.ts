import { setTimeout as sleep } from 'node:timers/promises';
import { ChildName } from '../accounts/children.ts';
import { backoffMs } from '../async/backoff.ts';
import { described, event } from '../contract/contract.ts';
import { type Envelope, readEvent } from '../contract/envelope.ts';
import { Fault } from '../contract/fault.ts';
import type { Log } from '../contract/log.ts';
import { type Static, Type } from '../contract/schema.ts';
import type { Archive, From, StreamBounds } from '../jetstream/archive.ts';
import { childOfSubject } from './relay.ts';

/** Sequences whose events are not in the stream any more, or never were, and can't be recovered. */
export const Gap = Type.Object({
  from: Type.Integer({ description: 'First sequence that is missing.' }),
  to: Type.Optional(Type.Integer({ description: 'The last one, inclusive.' })),
  reason: Type.Union(
    [Type.Literal('expired'), Type.Literal('lost'), Type.Literal('unreadable'), Type.Literal('trimmed')],
    {
      description:
        'expired: their retention ended. lost: the store of the bus was lost. unreadable: the stored message is not an event. trimmed: they were deleted so that a layer does not use up the share of others.',
    },
  ),
  child: Type.Optional(
    described(ChildName, 'If trimmed: the layer below that they belonged to; absent for this layer.'),
  ),
  count: Type.Optional(
    Type.Integer({ minimum: 0, description: 'If trimmed: how many of these sequences were its events.' }),
  ),
});
export type Gap = Static<typeof Gap>;

/**
 * Events are missing from this stream: they were lost with the store of the bus, were trimmed, or expired before they
 * were reported to the parent.
 */
export const historyLost = event('history.lost', Gap);

/** `child`: the layer below that reported the event; absent for an event of this layer. */
export type Past = { sequence: number; event: Envelope; child?: string } | { gap: Gap };
export type HistoryOptions = {
  /** A sequence or a time; the first retained event if absent. */
  since?: number | Date | undefined;
  /** Follows new events until `signal` aborts; otherwise reading ends with the event that is the last one now. */
  follow?: boolean | undefined;
  /** Pause after a page that is not full, in ms, so that a follower reads what arrives meanwhile in one request. */
  batchMs?: number | undefined;
  signal?: AbortSignal | undefined;
};

const PAGE = { limit: 500, waitMs: 1_000 };

export const fromOf = (from: number | Date): From =>
  typeof from === 'number' ? { sequence: Math.max(1, from) } : { time: from.getTime() };

const RETRY = { firstMs: 400, maxMs: 5_000 };
/** Consecutive failures after which reading fails, unless it follows. */
const MAX_FAILURES = 4;

/**
 * Yields the events of the stream in order, each once, and a gap in place of missing ones. Following survives the loss
 * of the connection, of the server and of its store.
 * @throws Fault `unavailable` if the stream can't be read and is not followed
 */
export async function* readHistory(
  archive: Archive,
  { since, follow = false, batchMs = 0, signal }: HistoryOptions,
  log: Log,
): AsyncGenerator<Past> {
  let created: string | undefined;
  let next: number | Date | undefined = since;
  let end = Number.POSITIVE_INFINITY;
  for (let failures = 0; !signal?.aborted; ) {
    try {
      const stream = await archive.bounds();
      if (created === undefined && !follow) end = stream.last;
      const gap = missing(next, stream, created);
      created = stream.made;
      if (gap) {
        yield { gap };
        next = stream.first;
      }
      next ??= stream.first;
      if (typeof next === 'number' && next > end) return;
      for (let isSame = true; isSame && !signal?.aborted; ) {
        const page = await archive.read({ ...PAGE, from: fromOf(next), subject: undefined });
        let first: number | undefined;
        for (const { sequence, subject, data } of page) {
          failures = 0;
          if (sequence > end) return;
          if (typeof next === 'number' && sequence > next) {
            // Expiry deletes from the start of the stream: behind its first event, missing ones were trimmed.
            first ??= (await archive.bounds()).first;
            yield { gap: { from: next, to: sequence - 1, reason: first < sequence ? 'trimmed' : 'expired' } };
          }
          next = sequence + 1;
          const event = readEvent(data);
          const child = childOfSubject(subject);
          if (event) yield { sequence, event, ...(child !== undefined && { child }) };
          else yield { gap: { from: sequence, to: sequence, reason: 'unreadable' } };
          if (sequence === end || signal?.aborted) return;
        }
        const pauseMs = page.length < PAGE.limit ? batchMs : 0;
        if (page.length > 0 && pauseMs > 0)
          await sleep(pauseMs, undefined, signal ? { signal } : {}).catch(() => {});
        if (page.length > 0) continue;
        if (!follow && typeof next !== 'number') return;
        // The stream may have been created again meanwhile.
        const now = await archive.bounds();
        isSame = now.made === created && (typeof next !== 'number' || now.last < next);
      }
    } catch (cause) {
      if (signal?.aborted) return;
      failures += 1;
      if (!follow && failures >= MAX_FAILURES)
        throw new Fault('unavailable', 'cannot read events', { cause });
      const ms = backoffMs(failures, RETRY);
      log.warn({ err: cause, ms }, 'cannot read events; retrying');
      await sleep(ms, undefined, signal ? { signal } : {}).catch(() => {});
    }
  }
}

function missing(
  next: number | Date | undefined,
  stream: StreamBounds,
  created: string | undefined,
): Gap | undefined {
  if (typeof next !== 'number') return undefined;
  if ((created !== undefined && created !== stream.made) || next > stream.last + 1)
    return { from: next, reason: 'lost' };
  return next < stream.first ? { from: next, to: stream.first - 1, reason: 'expired' } : undefined;
}
