import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import type { RecordCounts } from '../metadata/counters.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';

/** How long a count is reused while the number of outgoing records does not change, in ms. */
const FRESH_MS = 30_000;

export type UnselectedChange = { unsent: number; withdrawn: number };

/** Counts outgoing records that are retained because no selection covers their repository; a later one may. */
export class UnselectedOutgoing {
  readonly #metadata: MetadataReader & RecordCounts;
  #selected: readonly string[] | undefined;
  #last: { fingerprint: string; at: number; counts: UnselectedChange } | undefined;

  constructor(metadata: MetadataReader & RecordCounts) {
    this.#metadata = metadata;
  }

  set selected(patterns: readonly string[] | undefined) {
    this.#selected = patterns;
    this.#last = undefined;
  }

  async count(): Promise<UnselectedChange> {
    const selected = this.#selected;
    if (!selected || selected.includes('*')) return { unsent: 0, withdrawn: 0 };
    const { unsent, withdrawn } = this.#metadata.counters;
    const fingerprint = `${unsent} ${withdrawn}`;
    const now = performance.now();
    if (this.#last?.fingerprint === fingerprint && now - this.#last.at < FRESH_MS) return this.#last.counts;
    const counts = {
      unsent: unsent > 0 ? await countUnselected(this.#metadata.allUnsent, selected) : 0,
      withdrawn: withdrawn > 0 ? await countUnselected(this.#metadata.allWithdrawn, selected) : 0,
    };
    if (selected === this.#selected) this.#last = { fingerprint, at: now, counts };
    return counts;
  }
}

type Entries = (after?: string) => AsyncIterable<[key: string, record: unknown]>;

/** Counts the entries of unselected repositories. Each selected repository is skipped with one seek. */
async function countUnselected(entries: Entries, selected: readonly string[]): Promise<number> {
  let count = 0;
  let known = { repository: '', isSelected: false };
  for (let from: string | undefined; ; ) {
    let next: string | undefined;
    for await (const [key] of entries(from)) {
      const repository = key.slice(0, key.indexOf('!'));
      if (repository !== known.repository)
        known = { repository, isSelected: matchesPattern(selected, repository) };
      if (known.isSelected) {
        // `"` is the successor of `!`, which follows the name of the repository in a key.
        next = `${repository}"`;
        break;
      }
      count += 1;
    }
    if (next === undefined) return count;
    from = next;
  }
}
