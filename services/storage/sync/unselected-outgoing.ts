import type { RecordCounts } from '../metadata/counters.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import type { Selection } from './selection.ts';

/** How long a count is reused while the number of outgoing records does not change, in ms. */
const FRESH_MS = 30_000;
/** Max repositories that are named. */
const MAX_NAMED = 5;

/** `repositories`: the first ones with unsent manifests. */
export type UnselectedChange = { unsent: number; withdrawn: number; repositories: string[] };

/** Counts outgoing records that are retained because no selection covers their repository; a later one may. */
export class UnselectedOutgoing {
  readonly #metadata: MetadataReader & RecordCounts;
  readonly #selection: Selection;
  #last: { fingerprint: string; at: number; counts: UnselectedChange } | undefined;

  constructor(metadata: MetadataReader & RecordCounts, selection: Selection) {
    this.#metadata = metadata;
    this.#selection = selection;
  }

  async count(): Promise<UnselectedChange> {
    const { patterns } = this.#selection;
    if (!patterns || patterns.includes('*')) return { unsent: 0, withdrawn: 0, repositories: [] };
    const { unsent, withdrawn } = this.#metadata.counters;
    const fingerprint = `${unsent} ${withdrawn} ${patterns}`;
    const now = performance.now();
    if (this.#last?.fingerprint === fingerprint && now - this.#last.at < FRESH_MS) return this.#last.counts;
    const { allUnsent, allWithdrawn } = this.#metadata;
    const none = { count: 0, repositories: [] };
    const up = unsent > 0 ? await countUnselected(allUnsent, this.#selection) : none;
    const down = withdrawn > 0 ? await countUnselected(allWithdrawn, this.#selection) : none;
    const counts = { unsent: up.count, withdrawn: down.count, repositories: up.repositories };
    if (patterns === this.#selection.patterns) this.#last = { fingerprint, at: now, counts };
    return counts;
  }
}

type Entries = (after?: string) => AsyncIterable<[key: string, record: unknown]>;

/** Counts the entries of unselected repositories. Each selected repository is skipped with one seek. */
async function countUnselected(entries: Entries, selection: Selection) {
  let count = 0;
  const repositories: string[] = [];
  let known = { repository: '', isSelected: false };
  for (let from: string | undefined; ; ) {
    let next: string | undefined;
    for await (const [key] of entries(from)) {
      const repository = key.slice(0, key.indexOf('!'));
      if (repository !== known.repository) known = { repository, isSelected: selection.covers(repository) };
      if (known.isSelected) {
        // `"` is the successor of `!`, which follows the name of the repository in a key.
        next = `${repository}"`;
        break;
      }
      count += 1;
      if (repository !== repositories.at(-1) && repositories.length < MAX_NAMED)
        repositories.push(repository);
    }
    if (next === undefined) return { count, repositories };
    from = next;
  }
}
