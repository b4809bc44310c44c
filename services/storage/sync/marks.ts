import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Mark } from '#proto/sync/marks.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { type Change, drop, put } from '../metadata/metadata.ts';
import { type ListQuery, page } from '../metadata/page.ts';

type MarksDeps = {
  metadata: Metadata;
  locks: KeyedLock;
};

/** Reported state of each of the parent's repositories, once a pass has applied all of it. No faults of its own. */
export class Marks {
  readonly #deps: MarksDeps;

  constructor(deps: MarksDeps) {
    this.#deps = deps;
  }

  async list(scope: string, { after, limit }: ListQuery): Promise<{ marks: Marked[]; more: boolean }> {
    const [marks, more] = await page(this.#marksOf(scope, after), limit);
    return { marks, more };
  }

  async store(scope: string, marks: { repository: string; mark: Mark | null }[]): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run('marks', async () => {
      const changes: Change[] = [];
      for await (const [repository, record] of metadata.marks()) {
        if (record.of !== scope) changes.push(...drop.mark(repository));
      }
      for (const { repository, mark } of marks) {
        changes.push(...(mark ? put.mark(repository, { of: scope, ...mark }) : drop.mark(repository)));
      }
      await metadata.write(changes);
    });
  }

  /** Referrers in a repository of this layer, with their subjects. */
  async subjects(
    repository: string,
    { after, limit }: ListQuery,
  ): Promise<{ referrers: { subject: string; digest: string }[]; more: boolean }> {
    const [referrers, more] = await page(this.#referrers(repository, after), limit);
    return { referrers, more };
  }

  async *#marksOf(scope: string, after: string | undefined): AsyncGenerator<Marked> {
    for await (const [repository, { of: markScope, ...mark }] of this.#deps.metadata.marks(after)) {
      if (markScope === scope) yield { repository, mark };
    }
  }

  async *#referrers(repository: string, after: string | undefined) {
    for await (const [key] of this.#deps.metadata.referrersOfRepository(repository, after)) {
      const [subject, digest] = key.split('!') as [string, string];
      yield { subject, digest };
    }
  }
}

type Marked = { repository: string; mark: Mark };
