import { setTimeout as sleep } from 'node:timers/promises';
import { STREAM_END, STREAM_GAP, type StreamEnd, type ViewerGap } from '#proto/api/events.ts';
import { childOfSubject } from '#proto/bus/relay.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { readEvent } from '#proto/contract/envelope.ts';
import type { EventHub } from './event-hub.ts';
import { type EventRing, entryOf, frameOf, type RingEntry } from './event-ring.ts';
import type { EventFilter } from './filter.ts';
import { Pace } from './pace.ts';

/** Max events of one batch, and of one page of the history. */
const BATCH = 500;

/** Max events that a viewer with a rate gets of those before it came, and max time over which they are sent, in s. */
const MAX_PACED = 1_000;
const MAX_PACED_S = 10;

/** Silence after which a comment is sent, in ms: proxies close silent connections. */
export const HEARTBEAT_MS = 15_000;

/** Where a viewer begins: after a sequence, at a time, or with the next event. */
export type ViewerStart = { after: number } | { since: number } | undefined;

export type ViewerOptions = {
  start: ViewerStart;
  fits: EventFilter;
  /** Max events a second: of more, the newest are sent. */
  rate?: number | undefined;
  /** Why the stream ends, once it does. */
  ending: () => StreamEnd | undefined;
  signal: AbortSignal;
};

/**
 * Text of a stream of server-sent events, in parts. The next part is made when the last one was taken, so a viewer that
 * reads slowly costs no memory: it reads the history from where it began, then the events that all viewers share, and
 * gets a notice of what it missed.
 */
export async function* viewerStream(
  hub: EventHub,
  { archive }: HistoryReader,
  { start, fits, rate, ending, signal }: ViewerOptions,
): AsyncGenerator<string> {
  yield ': terrace\nretry: 2000\n\n';
  const { ring: firstRing } = await hub.current(signal);
  if (signal.aborted) return;
  let ring: EventRing = firstRing;
  let next = ring.next;
  const pace = rate === undefined ? undefined : new Pace(rate, performance.now());
  if (start) {
    for await (const part of catchUp()) yield part;
  }
  for (;;) {
    const end = ending();
    if (end) {
      yield frameOf(undefined, STREAM_END, end);
      return;
    }
    if (signal.aborted) return;
    const current = await hub.current(signal);
    if (signal.aborted) return;
    if (current.ring !== ring) {
      ring = current.ring;
      next = 0;
    }
    if (next < ring.first && next > 0) {
      yield gapFrame({ from: next, to: ring.first - 1, reason: 'slow' });
      next = ring.first;
    }
    const entries = ring.from(next, pace ? ring.size : BATCH);
    const last = entries.at(-1);
    if (last) {
      const shown = entries.filter(({ about }) => !about || fits(about));
      const waitMs = pace?.wait(shown.length, performance.now()) ?? 0;
      if (waitMs > 0) await sleep(waitMs, undefined, { ref: false, signal }).catch(() => {});
      else {
        next = last.sequence + 1;
        const text = textOf(pace ? paced(shown, pace) : shown);
        if (text !== '') yield text;
      }
      continue;
    }
    const woken = await within(current.changed, signal);
    if (!woken && !signal.aborted) yield ': still here\n\n';
  }

  /** From the position of the viewer to the events that all viewers share, a page at a time. */
  async function* catchUp(): AsyncGenerator<string> {
    const bounds = await archive.bounds();
    let from: { sequence: number } | { time: number };
    if (start && 'after' in start) {
      const wanted = start.after + 1;
      if (wanted > bounds.last + 1) yield gapFrame({ from: wanted, reason: 'lost' });
      else if (wanted < bounds.first)
        yield gapFrame({ from: wanted, to: bounds.first - 1, reason: 'expired' });
      const isThere = wanted >= bounds.first && wanted <= bounds.last + 1;
      from = { sequence: isThere ? wanted : bounds.first };
    } else from = { time: (start as { since: number }).since };
    if (rate !== undefined) {
      const first = 'sequence' in from ? from.sequence : await sequenceAt(from);
      const to = bounds.last - Math.min(MAX_PACED, rate * MAX_PACED_S);
      if (first <= to) yield gapFrame({ from: first, to, reason: 'rate' });
      from = { sequence: Math.max(first, to + 1) };
    }
    while (!signal.aborted && !ending()) {
      const current = await hub.current(signal);
      if (signal.aborted) return;
      ring = current.ring;
      if ('sequence' in from && from.sequence >= ring.first) {
        next = from.sequence;
        return;
      }
      const page = await archive.read({ from, subject: undefined, limit: BATCH, waitMs: 0 });
      const last = page.at(-1);
      if (!last) {
        next = Math.max(ring.first, 'sequence' in from ? from.sequence : 0);
        return;
      }
      const entries = page.flatMap(({ sequence, subject, data }) => {
        const event = readEvent(data);
        return event ? [entryOf(sequence, event, childOfSubject(subject))] : [];
      });
      from = { sequence: last.sequence + 1 };
      const shown = entries.filter(({ about }) => !about || fits(about));
      for (let sent = 0; sent < shown.length; sent += rate ?? BATCH) {
        const some = shown.slice(sent, sent + (rate ?? BATCH));
        await mayTake(some.length);
        if (signal.aborted || ending()) return;
        yield textOf(pace?.take(some) ?? some);
      }
    }
    next = ring.next;
  }

  /** The sequence of the first event since a time; that of the next event if there is none. */
  async function sequenceAt(from: { time: number }): Promise<number> {
    const [first] = await archive.read({ from, subject: undefined, limit: 1, waitMs: 0 });
    return first?.sequence ?? (await archive.bounds()).last + 1;
  }

  /** Waits until the rate allows this number of events, or until the stream ends. */
  async function mayTake(count: number): Promise<void> {
    while (!signal.aborted && !ending()) {
      const ms = pace?.wait(count, performance.now()) ?? 0;
      if (ms === 0) return;
      await sleep(ms, undefined, { ref: false, signal }).catch(() => {});
    }
  }
}

const textOf = (entries: readonly RingEntry[]): string => entries.map(({ frame }) => frame).join('');

/** The newest of these, behind a notice of those that are left out. */
function paced(entries: readonly RingEntry[], pace: Pace): RingEntry[] {
  const sent = pace.take(entries);
  const left = entries.slice(0, entries.length - sent.length);
  const [first] = left;
  const last = left.at(-1);
  if (!first || !last) return sent;
  const gap = { from: first.sequence, to: last.sequence, reason: 'rate', count: left.length } as const;
  return [{ sequence: gap.to, frame: gapFrame(gap) }, ...sent];
}

const gapFrame = (gap: ViewerGap): string => frameOf(gap.to, STREAM_GAP, gap);

/** Whether this is resolved before the time of a heartbeat, and before the stream ends. */
function within(changed: Promise<void>, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const end = (isChanged: boolean) => {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    resolve(isChanged);
  };
  const abort = () => end(false);
  const timer = setTimeout(abort, HEARTBEAT_MS).unref();
  signal.addEventListener('abort', abort);
  void changed.then(() => end(true));
  return promise;
}
