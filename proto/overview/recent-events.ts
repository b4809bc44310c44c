import { childOfSubject } from '../bus/relay.ts';
import type { HistoryReader } from '../bus/roles.ts';
import { type Envelope, readEvent } from '../contract/envelope.ts';
import type { Stored } from '../jetstream/archive.ts';

/**
 * The last events of a subject. The history is read forward only, so ranges of sequences are read, from the end back
 * and the wider the fewer events they have, until there are enough; how much is read is bounded.
 */

const PAGE = 500;
/** Max pages that are read. */
const MAX_PAGES = 12;
/** A range with fewer events than this is followed by one that is wider by `WIDER`. */
const FEW = PAGE / 4;
const WIDER = 8;
/** A page with more bytes than this may have been cut by its size. */
const LARGE_PAGE = 256 * 1024;
/** What is found ends with the event that exceeds this, packed, in bytes: a relayed one may have 128 KiB. */
const MAX_BYTES = 4 * 1024 * 1024;

export type RecentEvent = { sequence: number; time: number; event: Envelope; child: string | undefined };

/** What is searched: events of `subject` for which `fits` is true, before the sequence `before`. */
export type RecentQuery = {
  /** Undefined: all. */
  subject?: string | undefined;
  limit: number;
  before?: number | undefined;
  fits?: (event: Envelope, child: string | undefined) => boolean;
  maxPages?: number;
};

/** @returns newest first; `complete`: there are no others @throws Fault `unavailable` */
export async function recentEvents(
  { archive }: HistoryReader,
  { subject, limit, before, fits = () => true, maxPages = MAX_PAGES }: RecentQuery,
): Promise<{ events: RecentEvent[]; complete: boolean }> {
  const { first, last } = await archive.bounds();
  const events: RecentEvent[] = [];
  let end = Math.min(last, (before ?? last + 1) - 1);
  let pages = 0;
  let bytes = 0;
  for (let width = PAGE; end >= first && events.length <= limit; ) {
    const begin = Math.max(first, end - width + 1);
    const range: Stored[] = [];
    let narrower: number | undefined;
    for (let next = begin; next <= end; ) {
      // Of a range that can't be read whole, the newest events are missing.
      if (pages === maxPages) return { events: events.slice(0, limit), complete: false };
      pages += 1;
      const page = await archive.read({ from: { sequence: next }, subject, limit: PAGE, waitMs: 0 });
      for (const one of page) if (one.sequence <= end) range.push(one);
      next = (page.at(-1)?.sequence ?? end) + 1;
      // A page of large events has few of them: a range that is much longer could not be read whole.
      if (next <= end && range.length === page.length && bytesOf(page) > LARGE_PAGE) {
        narrower = next - begin;
        break;
      }
    }
    if (narrower !== undefined) {
      width = narrower;
      continue;
    }
    if (range.length < FEW && bytesOf(range) <= LARGE_PAGE) width *= WIDER;
    for (const { sequence, subject: stored, data } of range.reverse()) {
      const event = readEvent(data);
      const child = childOfSubject(stored);
      if (!event || !fits(event, child)) continue;
      if (bytes >= MAX_BYTES) return { events: events.slice(0, limit), complete: false };
      bytes += data.byteLength;
      events.push({ sequence, time: Date.parse(event.time), event, child });
    }
    end = begin - 1;
  }
  return { events: events.slice(0, limit), complete: end < first && events.length <= limit };
}

const bytesOf = (page: Stored[]): number => page.reduce((sum, { data }) => sum + data.byteLength, 0);
