import type { HistoryReader } from '#proto/bus/roles.ts';
import { type Envelope, readEvent } from '#proto/contract/envelope.ts';

/**
 * The last events of a subject. The history is read forward only, so windows of time that grow are read until one has
 * enough; how much is read is bounded.
 */

const MINUTE_MS = 60_000;
const WINDOWS_MS = [5, 60, 6 * 60, 48 * 60, 60 * 24 * 60].map((minutes) => minutes * MINUTE_MS);
const PAGE = 500;
/** Max pages of one window. */
const MAX_PAGES = 12;

export type RecentEvent = { sequence: number; time: number; event: Envelope };

/** What is searched: events of `subject` for which `fits` is true, before the one of `before`. */
export type RecentQuery = {
  subject: string;
  limit: number;
  before?: { sequence: number; time: number } | undefined;
  fits?: (event: Envelope) => boolean;
  /** Max pages of one window; with `PAGE` events each. */
  maxPages?: number;
};

/** @returns newest first; `complete`: there are no others @throws Fault `unavailable` */
export async function recentEvents(
  bus: HistoryReader,
  { subject, limit, before, fits = () => true, maxPages = MAX_PAGES }: RecentQuery,
  now = Date.now(),
): Promise<{ events: RecentEvent[]; complete: boolean }> {
  const { first, last } = await bus.archive.bounds();
  const end = Math.min(last, (before?.sequence ?? last + 1) - 1);
  if (end < first || (await bus.archive.last(subject)) === undefined) return { events: [], complete: true };
  let read: { found: RecentEvent[]; cut: boolean } = { found: [], cut: false };
  for (const windowMs of WINDOWS_MS) {
    const from = Math.max(0, (before?.time ?? now) - windowMs);
    const next = await readWindow(bus, { subject, from, end, max: limit, fits, maxPages });
    // A window of which only the beginning was read has not the newest events.
    if (next.cut && read.found.length > 0) return { events: read.found.reverse(), complete: false };
    read = next;
    if (read.cut || read.found.length >= limit) return { events: read.found.reverse(), complete: false };
  }
  return { events: read.found.reverse(), complete: true };
}

async function readWindow(
  { archive }: HistoryReader,
  {
    subject,
    from,
    end,
    max,
    fits,
    maxPages,
  }: { subject: string; from: number; end: number; max: number } & Required<
    Pick<RecentQuery, 'fits' | 'maxPages'>
  >,
): Promise<{ found: RecentEvent[]; cut: boolean }> {
  const found: RecentEvent[] = [];
  let next: { time: number } | { sequence: number } = { time: from };
  for (let pages = 0; pages < maxPages; pages += 1) {
    const page = await archive.read({ from: next, subject, limit: PAGE, waitMs: 0 });
    for (const { sequence, data } of page) {
      if (sequence > end) return { found, cut: false };
      const event = readEvent(data);
      if (!event || !fits(event)) continue;
      found.push({ sequence, time: Date.parse(event.time), event });
      if (found.length > max) found.shift();
    }
    const reached = page.at(-1)?.sequence;
    if (reached === undefined || reached >= end) return { found, cut: false };
    next = { sequence: reached + 1 };
  }
  return { found, cut: true };
}
