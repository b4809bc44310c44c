import { isConflictTag } from '#proto/sync/conflict-tag.ts';
import { type Kind, kindOf, kinds } from './keys.ts';
import type { BehindRecord, BlobRecord, UnsentRecord } from './records.ts';

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
  | 'parked'
  | 'behind'
  | 'behindBytes'
  | 'behindUnsized'
  | 'behindFailed'
  | 'uncompared'
  | 'conflicts',
  number
>;

/** Counts of records, kept up to date by each write. */
export interface RecordCounts {
  readonly counters: Counters;
}

/** Counters whose totals are stored, each time in the batch that changes them, by the kind of their keys. */
const STORED: Record<string, keyof Counters> = {
  [kinds.behind]: 'behind',
  [kinds.blob]: 'blobs',
  [kinds.damaged]: 'damaged',
  [kinds.parked]: 'parked',
  [kinds.repository]: 'repositories',
  [kinds.tag]: 'tags',
  [kinds.uncompared]: 'uncompared',
  [kinds.unsent]: 'unsent',
  [kinds.withdrawn]: 'withdrawn',
};

/** Stored counters of what the records of one kind hold: `bytes` of blobs, `conflicts` of the names of tags. */
const DERIVED = ['bytes', 'behindBytes', 'behindUnsized', 'behindFailed', 'conflicts'] as const;

/**
 * Counters of bounded kinds, which each opening counts: whether a layer has accounts must not rest on a stored number.
 */
const BOUNDED: Record<string, keyof Counters> = {
  [kinds.token]: 'tokens',
  [kinds.scopeMap]: 'scopeMaps',
};

const COUNTED = { ...STORED, ...BOUNDED };

/** Totals as they are stored; counters that are zero may be absent. */
export type StoredCounts = Partial<Counters> & {
  /** Latest instant of an outgoing record, in ms since 1970. */
  latest?: number;
};

/** Numbers of records: totals, or what a batch adds (negative: removes). */
export class RecordCounters implements RecordCounts {
  static readonly countedKinds = Object.keys(COUNTED) as Kind[];
  static readonly storedKinds = Object.keys(STORED) as Kind[];
  static readonly boundedKinds = Object.keys(BOUNDED) as Kind[];
  readonly counters = Object.fromEntries(
    [...Object.values(COUNTED), ...DERIVED].map((name) => [name, 0]),
  ) as Counters;
  /** Latest instant of an outgoing record, in ms since 1970. */
  #latest = 0;

  static counts(key: string): boolean {
    return (kindOf(key) ?? '') in COUNTED;
  }

  /** The sum of these, only of what is stored. */
  static storedPart(...counts: StoredCounts[]): StoredCounts {
    const sums = new RecordCounters();
    for (const one of counts) sums.merge(one);
    return sums.stored;
  }

  /** Adds or removes one record. */
  add(key: string, value: unknown, sign: 1 | -1): void {
    if (value === undefined) return;
    const kind = key.charAt(0);
    this.counters[COUNTED[kind]!] += sign;
    if (kind === kinds.blob) this.counters.bytes += sign * (value as BlobRecord).size;
    if (kind === kinds.behind) this.#addBehind(value as BehindRecord, sign);
    if (kind === kinds.tag && isConflictTag(key)) this.counters.conflicts += sign;
    if (kind === kinds.unsent || kind === kinds.withdrawn)
      this.#latest = Math.max(this.#latest, (value as UnsentRecord).since);
  }

  #addBehind({ target, bytes, code }: BehindRecord, sign: 1 | -1): void {
    if (bytes !== undefined) this.counters.behindBytes += sign * bytes;
    else if (target !== null) this.counters.behindUnsized += sign;
    if (code !== undefined) this.counters.behindFailed += sign;
  }

  merge({ latest = 0, ...counts }: StoredCounts, sign: 1 | -1 = 1): void {
    for (const [name, count] of Object.entries(counts)) this.counters[name as keyof Counters] += sign * count;
    this.#latest = Math.max(this.#latest, latest);
  }

  /** What of this is stored; without zeros. */
  get stored(): StoredCounts {
    const names = [...Object.values(STORED), ...DERIVED];
    const counts = names.map((name) => [name, this.counters[name]] as const);
    const latest = this.#latest > 0 && { latest: this.#latest };
    return { ...Object.fromEntries(counts.filter(([, count]) => count !== 0)), ...latest };
  }

  /** All of it, for `merge`. */
  get all(): StoredCounts {
    return { ...this.counters, latest: this.#latest };
  }

  /** Later than every outgoing record, even if the clock was set back; in ms since 1970. */
  instant(now: number): number {
    this.#latest = Math.max(now, this.#latest + 1);
    return this.#latest;
  }
}
