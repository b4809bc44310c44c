import type { Events } from '#proto/api/events.ts';
import { get } from '../api/request.ts';
import { type Entry, entryOfEvent, entryOfGap, MAX_ENTRIES } from '../state/event-list.ts';
import { withQuery } from '../state/routes.ts';
import type { EventFilterValue } from './event-filter.tsx';

/** Events of one answer, and answers of one replay. */
const PAGE = 500;
const MAX_PAGES = 20;

/**
 * Reads retained events: from `since` on, a sequence or a time of the viewer, or the last ones.
 * @returns the sequence after which the stream continues @throws RequestError
 */
export async function readHistory(
  { type, layer, since }: EventFilterValue,
  signal: AbortSignal,
  add: (entry: Entry) => void,
): Promise<number | undefined> {
  let query: Record<string, string | number> = beginOf(since);
  let after: number | undefined;
  for (let page = 0; page < MAX_PAGES && !signal.aborted; page += 1) {
    const found = await get<Events>(withQuery('/events', { ...query, type, layer }));
    for (const item of found.items) add('gap' in item ? entryOfGap(item.gap) : entryOfEvent(item));
    after = found.next ?? after;
    if (!found.more || found.next === undefined) break;
    query = { after: found.next, limit: PAGE };
  }
  return after;
}

function beginOf(since: string): Record<string, string | number> {
  if (/^\d+$/.test(since)) return { after: Math.max(0, Number(since) - 1), limit: PAGE };
  const time = Date.parse(since);
  if (Number.isNaN(time)) return { newest: 'true', limit: MAX_ENTRIES };
  return { since: new Date(time).toISOString(), limit: PAGE };
}
