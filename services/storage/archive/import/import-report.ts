import type { ImportResult, importArchive } from '#proto/archive/archives.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import type { Static } from '#proto/contract/schema.ts';
import type { FoundSet, UnusableList } from './found-sets.ts';

/** Max senders of one folder, and max lists that are named. */
const MAX_SENDERS = 100;
const MAX_UNUSABLE = 100;

/** What became of a folder whose sets were imported in pages: one result for each sender. */
export class ImportReport {
  readonly #folder: string;
  readonly #results = new Map<string, { since: number; result: ImportResult }>();
  readonly #unusable: string[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Those of which no earlier page had a set of a later epoch. @throws Fault `archive-invalid` at too many senders */
  latest(newest: readonly FoundSet[]): FoundSet[] {
    const senders = new Set([...this.#results.keys(), ...newest.map(senderOf)]).size;
    if (senders > MAX_SENDERS) {
      throw new Fault('archive-invalid', `${this.#folder} has sets of ${senders} senders: import them apart`);
    }
    return newest.filter((set) => set.list.sender.since >= (this.#results.get(senderOf(set))?.since ?? 0));
  }

  add(set: FoundSet, result: ImportResult): void {
    const key = senderOf(set);
    const before = this.#results.get(key)?.result;
    this.#results.set(key, { since: set.list.sender.since, result: joined(before, result) });
  }

  addUnusable(lists: readonly UnusableList[]): void {
    for (const { problem } of lists.slice(0, MAX_UNUSABLE - this.#unusable.length)) {
      this.#unusable.push(clip(problem, MAX_REASON_LENGTH));
    }
  }

  get reply(): Static<typeof importArchive.reply> {
    return { results: [...this.#results.values()].map(({ result }) => result), unusable: this.#unusable };
  }
}

/** Sets of one sender for several targets are apart. */
export const senderOf = ({ list }: FoundSet): string => `${list.sender.layer} ${list.target.name}`;

/** The result of a sender after a further page. */
function joined(before: ImportResult | undefined, after: ImportResult): ImportResult {
  if (before?.outcome !== 'imported') return after;
  const { number, content, bytes, tags } = before;
  if (after.outcome === 'refused') {
    return { ...after, warnings: [`set ${number} was imported before it`, ...after.warnings].slice(0, 20) };
  }
  if (after.outcome !== 'imported') return before;
  return {
    ...after,
    news: before.news || after.news,
    content: content + after.content,
    bytes: bytes + after.bytes,
    tags: {
      moved: (tags?.moved ?? 0) + (after.tags?.moved ?? 0),
      deleted: (tags?.deleted ?? 0) + (after.tags?.deleted ?? 0),
      conflicts: (tags?.conflicts ?? 0) + (after.tags?.conflicts ?? 0),
    },
  };
}
