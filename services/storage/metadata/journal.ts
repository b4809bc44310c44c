import { randomBytes } from 'node:crypto';
import type { Change } from './changes.ts';
import { keys, kinds } from './keys.ts';

/**
 * The journal of what the layers below may want to hear of, as keys of the batch that makes the change:
 *
 *   j!<number>   [kind, repository, name, nonce]
 *
 * `t`: the tag was moved or deleted. `m`: what hangs on the manifest changed. A cursor is `<number>.<nonce>` of an
 * entry, so a journal that was lost, or begun anew from an older copy, does not take one for its own.
 */
export type Entry = [kind: 't' | 'm', repository: string, name: string, nonce: string];

/** Entries that are kept, about; a layer below that was away for longer compares everything. */
const KEPT = 100_000;
const TRIMMED = 10_000;

/** What a batch is to say of its changes. Pure. */
export function entriesOf(changes: readonly Change[]): [kind: 't' | 'm', repository: string, name: string][] {
  const found = new Map<string, ['t' | 'm', string, string]>();
  for (const { key, type } of changes) {
    const [kind, repository = '', first = '', second = ''] = key.split('!');
    const isTag = kind === kinds.tag;
    const broughtIn = kind === kinds.leftOut && type === 'del' ? second : undefined;
    const name = isTag || kind === kinds.referrer ? first : broughtIn;
    if (name === undefined) continue;
    const entry: ['t' | 'm', string, string] = [isTag ? 't' : 'm', repository, name];
    found.set(entry.join('!'), entry);
  }
  return [...found.values()];
}

/** `<number>.<nonce>`; `0.` is where every journal begins. */
export function readCursor(text: string): { number: number; nonce: string } | undefined {
  const [, number, nonce] = /^(\d{1,14})\.([0-9a-f]*)$/.exec(text) ?? [];
  return number === undefined ? undefined : { number: Number(number), nonce: nonce as string };
}

/** Gives numbers to entries. Batches may land in another order than that: a reader sees only what nothing precedes. */
export class Journal {
  #last: number;
  #first: number;
  readonly #open = new Set<number>();

  constructor(first: number, last: number) {
    this.#first = first;
    this.#last = last;
  }

  /** Everything up to here has landed, or never will. */
  get head(): number {
    let head = this.#last;
    for (const open of this.#open) head = Math.min(head, open - 1);
    return head;
  }

  /** What to write beside the changes; `landed` is to be called when that is over, however it went. */
  add(changes: readonly Change[]): { entries: Change[]; landed: () => void } {
    const numbers: number[] = [];
    const entries = entriesOf(changes).map(([kind, repository, name]): Change => {
      this.#last += 1;
      numbers.push(this.#last);
      this.#open.add(this.#last);
      const value: Entry = [kind, repository, name, randomBytes(4).toString('hex')];
      return { type: 'put', key: keys.entry(this.#last), value };
    });
    return { entries, landed: () => numbers.forEach((number) => void this.#open.delete(number)) };
  }

  /** What to take away, where there is too much. */
  trim(): Change[] {
    if (this.#last - this.#first < KEPT + TRIMMED) return [];
    const from = this.#first;
    this.#first += TRIMMED;
    return Array.from({ length: TRIMMED }, (_, at) => ({ type: 'del', key: keys.entry(from + at) }));
  }
}
