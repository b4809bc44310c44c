import type { EventItem, ViewerGap } from '#proto/api/events.ts';

/** Events as the page holds them: newest first, and bounded at any rate of arrival. */

/** Max entries that are held. */
export const MAX_ENTRIES = 300;

export type Entry = { key: string; event: EventItem } | { key: string; gap: ViewerGap };
export type EventList = {
  entries: readonly Entry[];
  /** Sequence from which the stream continues. */
  last: number;
  /** Events received, and those of them that left the list as there were newer ones. */
  received: number;
  dropped: number;
};

export const emptyList: EventList = { entries: [], last: 0, received: 0, dropped: 0 };

/** Adds events and gaps in the order of arrival; one that is there already is ignored. */
export function addEntries(list: EventList, arrived: readonly Entry[]): EventList {
  let { last, entries: before } = list;
  let fresh: Entry[] = [];
  for (const entry of arrived) {
    if ('event' in entry) {
      if (entry.event.sequence <= last) continue;
      last = entry.event.sequence;
    } else if (entry.gap.reason === 'lost') {
      // Another stream follows, whose sequences begin again.
      last = 0;
      before = [];
      fresh = [];
    }
    fresh.push(entry);
  }
  if (fresh.length === 0) return list;
  const entries = [...fresh.reverse().slice(0, MAX_ENTRIES), ...before].slice(0, MAX_ENTRIES);
  const received = list.received + fresh.length;
  return { entries, last, received, dropped: received - entries.length };
}

export const entryOfEvent = (event: EventItem): Entry => ({ key: `e${event.sequence}`, event });
export const entryOfGap = (gap: ViewerGap): Entry => ({ key: `g${gap.from}-${gap.to ?? ''}`, gap });
