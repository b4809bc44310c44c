import type { Static } from '@sinclair/typebox';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { BehindTag, ComparisonFailure, listBehind, recordBehind } from '#proto/sync/behind.ts';
import type { Behind } from '#proto/sync/sync-figure.ts';
import { type Change, drop, type Metadata, put } from '../metadata/metadata.ts';
import { type ListQuery, page } from '../metadata/page.ts';
import type { BehindRecord } from '../metadata/records.ts';
import { inOrder, namesOf } from './in-order.ts';

/** How long the earliest instant is reused while the number of records does not change, in ms. */
const FRESH_MS = 10_000;
/** Max records that are read for the earliest instant. */
const MAX_READ = 20_000;

type BehindDeps = { metadata: Metadata; locks: KeyedLock; now: () => number };

/** Changes of the parent that are not here yet: see `proto/sync/behind.ts`. A new base deletes its record. */
export class BehindTags {
  readonly #deps: BehindDeps;
  #earliest: { count: number; at: number; since: number | undefined } | undefined;

  constructor(deps: BehindDeps) {
    this.#deps = deps;
  }

  async record(query: Static<typeof recordBehind.query>): Promise<void> {
    const { repository, drop: obsolete, complete = [], replace } = query;
    const { metadata, locks } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      const changes: Change[] = obsolete.flatMap((tag) => drop.behind(repository, tag));
      const tags = query.put.map(({ tag }) => tag);
      const before = await metadata.behindByTag(repository, tags);
      const here = await metadata.tagsByName(repository, tags);
      for (const [at, entry] of query.put.entries()) {
        const hasTarget = (here[at] ?? null) === entry.target;
        // Otherwise, it was carried out or moved meanwhile.
        if (hasTarget === (entry.incomplete === true))
          changes.push(...put.behind(repository, entry.tag, this.#recordOf(entry, before[at])));
        else changes.push(...drop.behind(repository, entry.tag));
      }
      const lacking = await metadata.behindByTag(
        repository,
        complete.map(({ tag }) => tag),
      );
      for (const [at, { tag, target }] of complete.entries())
        if (lacking[at]?.target === target) changes.push(...drop.behind(repository, tag));
      if (replace) {
        const kept = new Set(tags);
        for await (const [tag, record] of metadata.behindOfRepository(repository, replace.after)) {
          if (replace.until !== undefined && tag > replace.until) break;
          if (kept.has(tag) || (record.incomplete && !replace.incomplete)) continue;
          changes.push(...drop.behind(repository, tag));
        }
      }
      const comparison = await this.#comparison(repository, query.uncompared);
      await metadata.write([...changes, ...comparison]);
    });
  }

  /** @param failure null: the repository was compared */
  async #comparison(repository: string, failure?: ComparisonFailure | null): Promise<Change[]> {
    if (failure === undefined) return [];
    if (failure === null) return drop.uncompared(repository);
    const before = await this.#deps.metadata.uncompared(repository);
    if (before?.code === failure.code && before.reason === failure.reason) return [];
    return put.uncompared(repository, { ...failure, since: before?.since ?? this.#deps.now() });
  }

  #recordOf({ tag: _, ...entry }: BehindTag, before: BehindRecord | undefined): BehindRecord {
    const isSame = before !== undefined && before.target === entry.target;
    return { ...entry, since: isSame ? before.since : this.#deps.now() };
  }

  /** Each repository is skipped with one seek. */
  async listRepositories({ after, limit }: ListQuery): Promise<Static<typeof listBehind.reply>> {
    const { metadata } = this.#deps;
    const all = inOrder([repositoriesIn(metadata.allBehind, after), namesOf(metadata.allUncompared(after))]);
    const [repositories, more] = await page(all, limit);
    const records = await metadata.uncomparedByRepository(repositories);
    return { repositories, uncompared: repositories.filter((_, at) => records[at]), more };
  }

  /** Of the whole layer, from the counters. */
  async figure(): Promise<Behind> {
    const { behind, behindBytes, behindUnsized, behindFailed } = this.#deps.metadata.counters;
    const since = behind > 0 ? await this.#since(behind) : undefined;
    return {
      tags: behind,
      bytes: behindBytes,
      unsized: behindUnsized,
      failed: behindFailed,
      ...(since !== undefined && { since }),
    };
  }

  async #since(count: number): Promise<number | undefined> {
    const now = performance.now();
    const known = this.#earliest;
    if (known?.count === count && now - known.at < FRESH_MS) return known.since;
    let since: number | undefined;
    let read = 0;
    for await (const [, record] of this.#deps.metadata.allBehind()) {
      since = Math.min(since ?? record.since, record.since);
      read += 1;
      if (read === MAX_READ) break;
    }
    this.#earliest = { count, at: now, since };
    return since;
  }
}

/** The sum of records. */
export function sumBehind(records: Iterable<BehindRecord>): Behind {
  const sum: Behind = { tags: 0, bytes: 0, unsized: 0, failed: 0 };
  for (const { target, bytes, code, since } of records) {
    sum.tags += 1;
    sum.bytes += bytes ?? 0;
    if (bytes === undefined && target !== null) sum.unsized += 1;
    if (code !== undefined) sum.failed += 1;
    sum.since = Math.min(sum.since ?? since, since);
  }
  return sum;
}

/** Names of repositories with entries, in order. @param after a repository */
export async function* repositoriesIn(
  entries: (after?: string) => AsyncIterable<[key: string, value: unknown]>,
  after?: string,
): AsyncGenerator<string> {
  // `"` is the successor of `!`, which follows the name of the repository in a key.
  let from = after === undefined ? undefined : `${after}"`;
  for (;;) {
    let found: string | undefined;
    for await (const [key] of entries(from)) {
      found = key.slice(0, key.indexOf('!'));
      break;
    }
    if (found === undefined) return;
    yield found;
    from = `${found}"`;
  }
}
