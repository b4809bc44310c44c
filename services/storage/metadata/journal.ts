import { randomUUID } from 'node:crypto';
import type { Change } from './batch-changes.ts';
import { keys, kinds } from './keys.ts';

/**
 * The journal of changes that children follow, written in the batch that makes the change:
 *
 *   j!<number>   [kind, repository, name, nonce]
 *
 * `t`: the tag was moved or deleted. `m`: the referrers of the manifest changed, or which of them are left out, or it
 * no longer leaves a manifest out.
 * A cursor is `<number>.<nonce>` of an entry, so a journal that was lost, or restarted from an older copy, does not
 * accept the cursor of another one.
 */
export type JournalEntry = [kind: 't' | 'm', repository: string, name: string, nonce: string];

/** Approximate number of entries retained. A child that was away for longer compares everything. */
const RETAINED = 100_000;
/** Entries deleted at a time. */
const TRIM_BATCH = 10_000;

/** The entries for the changes of a batch. Pure. */
export function entriesOf(changes: readonly Change[]): [kind: 't' | 'm', repository: string, name: string][] {
  const entries = new Map<string, ['t' | 'm', string, string]>();
  for (const { key, type } of changes) {
    const [kind, repository = '', first = '', second = ''] = key.split('!');
    const isTag = kind === kinds.tag;
    const broughtIn = kind === kinds.leftOut && type === 'del' ? second : undefined;
    const isOfFirst = isTag || kind === kinds.referrer || kind === kinds.leftOutReferrers;
    const name = isOfFirst ? first : broughtIn;
    if (name === undefined) continue;
    const entry: ['t' | 'm', string, string] = [isTag ? 't' : 'm', repository, name];
    entries.set(entry.join('!'), entry);
  }
  return [...entries.values()];
}

/** Parses `<number>.<nonce>`; `0.` is the start of every journal. */
export function readCursor(text: string): { number: number; nonce: string } | undefined {
  const [, number, nonce] = /^(\d{1,14})\.([0-9a-f]*)$/.exec(text) ?? [];
  return number === undefined ? undefined : { number: Number(number), nonce: nonce as string };
}

/**
 * Numbers the entries. Batches may be written in another order: a reader sees an entry once all before it are written.
 */
export class Journal {
  #last: number;
  #first: number;
  readonly #open = new Set<number>();

  constructor(first: number, last: number) {
    this.#first = first;
    this.#last = last;
  }

  /** Number up to which every entry is written or never will be. */
  get head(): number {
    let head = this.#last;
    for (const open of this.#open) head = Math.min(head, open - 1);
    return head;
  }

  /** `entries` belong to the batch of the changes. Call `close` when its write has succeeded or failed. */
  add(changes: readonly Change[]): { entries: Change[]; close: () => void } {
    const numbers: number[] = [];
    const entries = entriesOf(changes).map(([kind, repository, name]): Change => {
      this.#last += 1;
      numbers.push(this.#last);
      this.#open.add(this.#last);
      const value: JournalEntry = [kind, repository, name, randomUUID().slice(0, 8)];
      return { type: 'put', key: keys.journalEntry(this.#last), value };
    });
    return { entries, close: () => numbers.forEach((number) => void this.#open.delete(number)) };
  }

  /** Deletions of the oldest entries, if there are too many. */
  trim(): Change[] {
    if (this.#last - this.#first < RETAINED + TRIM_BATCH) return [];
    const from = this.#first;
    this.#first += TRIM_BATCH;
    return Array.from({ length: TRIM_BATCH }, (_, at) => ({
      type: 'del',
      key: keys.journalEntry(from + at),
    }));
  }
}
