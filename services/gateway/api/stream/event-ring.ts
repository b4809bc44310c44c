import type { Gap } from '#proto/bus/history.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import type { EventAbout } from './filter.ts';
import { itemOf } from './items.ts';

/** Max entries and bytes of the last events that viewers share. */
export const MAX_RING_ENTRIES = 10_000;
export const MAX_RING_BYTES = 4 * 1024 * 1024;

/** An event, or a gap of the history, as a frame of server-sent events. */
export type RingEntry = {
  sequence: number;
  frame: string;
  /** Of an event: what filters decide by. */
  about?: EventAbout;
};

/**
 * The last events, from which each viewer reads at its own pace: none has a queue of its own. An entry is encoded once.
 * What is dropped is missing for a viewer that has not read it.
 */
export class EventRing {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #entries: RingEntry[] = [];
  /** Index of the first entry that is still there. */
  #head = 0;
  #bytes = 0;
  /** First sequence that the ring has, or will have. */
  first: number;

  /** @param next the first sequence that is added */
  constructor(next: number, maxEntries = MAX_RING_ENTRIES, maxBytes = MAX_RING_BYTES) {
    this.first = next;
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  /** First sequence after the last entry. */
  get next(): number {
    return (this.#entries.at(-1)?.sequence ?? this.first - 1) + 1;
  }

  get size(): number {
    return this.#entries.length - this.#head;
  }

  add(entry: RingEntry): void {
    this.#entries.push(entry);
    this.#bytes += entry.frame.length;
    while (this.size > 1 && (this.size > this.#maxEntries || this.#bytes > this.#maxBytes)) this.#drop();
    // The array is cut seldom, as that moves all its entries.
    if (this.#head > this.#maxEntries) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Up to `max` entries from this sequence on. */
  from(sequence: number, max: number): RingEntry[] {
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entries[middle] as RingEntry).sequence < sequence) low = middle + 1;
      else high = middle;
    }
    return this.#entries.slice(low, low + max);
  }

  #drop(): void {
    const { sequence, frame } = this.#entries[this.#head] as RingEntry;
    this.#bytes -= frame.length;
    // The entry is no longer reachable, and its memory is free, although the array has not been cut yet.
    this.#entries[this.#head] = { sequence, frame: '' };
    this.#head += 1;
    this.first = sequence + 1;
  }
}

/** Strings that many entries have, each once. */
const known = new BoundedMap<string>(1_000);
function interned(text: string): string {
  const found = known.get(text);
  if (found === undefined) known.set(text, text);
  return found ?? text;
}

export function entryOf(sequence: number, event: Envelope, child: string | undefined): RingEntry {
  const { type, layer } = event;
  const about = { type: interned(type), layer: layer && interned(layer), child: child && interned(child) };
  return { sequence, frame: frameOf(sequence, undefined, itemOf(sequence, event, child)), about };
}

export function gapEntry(gap: Gap): RingEntry {
  const { from, to = from, reason } = gap;
  return { sequence: to, frame: frameOf(to, 'gap', { from, to, reason }) };
}

/** One server-sent event (HTML, "Server-sent events"). JSON has no line break. */
export const frameOf = (id: number | undefined, name: string | undefined, data: unknown): string =>
  `${id === undefined ? '' : `id: ${id}\n`}${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
