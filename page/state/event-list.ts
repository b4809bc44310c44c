import type { EventItem, ViewerGap } from '#proto/api/events.ts';

/** Events as the page holds them: newest first, and bounded at any rate of arrival. */

/** Max entries that are held. */
export const MAX_ENTRIES = 300;

export type Entry = { key: string; event: EventItem } | { key: string; gap: ViewerGap };
export type EventList = {
  entries: readonly Entry[];
  /** Sequence from which the stream continues. */
  last: number;
  /** Events so far, and those of them that are not listed as there are newer ones. */
  received: number;
  dropped: number;
};

export const emptyList: EventList = { entries: [], last: 0, received: 0, dropped: 0 };

/**
 * Adds events and gaps in the order of arrival; one that is there already is ignored.
 * @param skipped number of events that arrived before these and are not shown
 */
export function addEntries(list: EventList, arrived: readonly Entry[], skipped = 0): EventList {
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
  const received = list.received + skipped + fresh.length;
  return { entries, last, received, dropped: received - entries.length };
}

/**
 * Messages of a stream that wait to be shown: an event is read only if it is. Bounded: of more, the last ones count,
 * and the start of another stream is kept.
 */
export class Waiting {
  #start: Entry[] = [];
  #messages: (string | Entry)[] = [];
  count = 0;

  add(kind: 'event' | 'gap', data: string): void {
    this.count += 1;
    const gap = kind === 'gap' ? (JSON.parse(data) as ViewerGap) : undefined;
    if (gap?.reason === 'lost') {
      this.#start = [entryOfGap(gap)];
      this.#messages = [];
      return;
    }
    if (gap?.reason === 'rate') this.count += (gap.count ?? 1) - 1;
    this.#messages.push(gap ? entryOfGap(gap) : data);
    if (this.#messages.length > 4 * MAX_ENTRIES) this.#messages = this.#messages.slice(-MAX_ENTRIES);
  }

  /** Takes all: entries in the order of arrival, and the number of those that are left out. */
  take(): { arrived: Entry[]; skipped: number } {
    const last = this.#messages.slice(-MAX_ENTRIES);
    const arrived = [
      ...this.#start,
      ...last.map((one) => (typeof one === 'string' ? entryOfEvent(JSON.parse(one) as EventItem) : one)),
    ];
    const skipped = this.count - arrived.length;
    this.#start = [];
    this.#messages = [];
    this.count = 0;
    return { arrived, skipped };
  }
}

export const entryOfEvent = (event: EventItem): Entry => ({ key: `e${event.sequence}`, event });
export const entryOfGap = (gap: ViewerGap): Entry => ({ key: `g${gap.from}-${gap.to ?? ''}`, gap });
