import { type Kind, kindOf, kinds } from './keys.ts';
import type { BlobRecord, UnsentRecord } from './records.ts';

/** Counters of a status. */
export type Counters = Record<
  | 'repositories'
  | 'tags'
  | 'blobs'
  | 'bytes'
  | 'damaged'
  | 'tokens'
  | 'scopeMaps'
  | 'unsent'
  | 'withdrawn'
  | 'parked',
  number
>;

/** Counts of records, kept up to date by each write. */
export interface RecordCounts {
  readonly counters: Counters;
}

/** Counter by the kind of its keys (see `keys.ts`), for every counter but `bytes`. */
const COUNTED: Record<string, keyof Counters> = {
  [kinds.token]: 'tokens',
  [kinds.blob]: 'blobs',
  [kinds.scopeMap]: 'scopeMaps',
  [kinds.damaged]: 'damaged',
  [kinds.parked]: 'parked',
  [kinds.repository]: 'repositories',
  [kinds.tag]: 'tags',
  [kinds.unsent]: 'unsent',
  [kinds.withdrawn]: 'withdrawn',
};

/** Updates the counters with each write, so that a status needs no scan. */
export class RecordCounters implements RecordCounts {
  static readonly kinds = Object.keys(COUNTED) as Kind[];
  readonly counters = Object.fromEntries(
    [...Object.values(COUNTED), 'bytes'].map((name) => [name, 0]),
  ) as Counters;
  /** Latest instant of an outgoing record, in ms since 1970. */
  #last = 0;

  static counts(key: string): boolean {
    return (kindOf(key) ?? '') in COUNTED;
  }

  add(key: string, value: unknown, sign: 1 | -1): void {
    if (value === undefined) return;
    const kind = key.charAt(0);
    this.counters[COUNTED[kind]!] += sign;
    if (kind === kinds.blob) this.counters.bytes += sign * (value as BlobRecord).size;
    if (kind === kinds.unsent || kind === kinds.withdrawn)
      this.#last = Math.max(this.#last, (value as UnsentRecord).since);
  }

  /** Later than every outgoing record, even if the clock was set back; in ms since 1970. */
  instant(now: number): number {
    this.#last = Math.max(now, this.#last + 1);
    return this.#last;
  }
}
