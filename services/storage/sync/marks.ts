import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Mark } from '#proto/sync/marks.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { type Change, drop, put } from '../metadata/metadata.ts';
import { type Page, page } from '../metadata/page.ts';

type MarksDeps = {
  metadata: Metadata;
  locks: KeyedLock;
};

/** How repositories of the parent were when all that was so had been carried out. Faults: none of their own. */
export class Marks {
  readonly #deps: MarksDeps;

  constructor(deps: MarksDeps) {
    this.#deps = deps;
  }

  async list(of: string, { after, limit }: Page): Promise<{ marks: Marked[]; more: boolean }> {
    const [marks, more] = await page(this.#of(of, after), limit);
    return { marks, more };
  }

  async keep(of: string, marks: { repository: string; mark: Mark | null }[]): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run('marks', async () => {
      const changes: Change[] = [];
      for await (const [repository, record] of metadata.marks()) {
        if (record.of !== of) changes.push(...drop.mark(repository));
      }
      for (const { repository, mark } of marks) {
        changes.push(...(mark ? put.mark(repository, { of, ...mark }) : drop.mark(repository)));
      }
      await metadata.write(changes);
    });
  }

  /** What refers to what in a repository here. */
  async subjects(
    repository: string,
    { after, limit }: Page,
  ): Promise<{ referrers: { subject: string; digest: string }[]; more: boolean }> {
    const [referrers, more] = await page(this.#subjects(repository, after), limit);
    return { referrers, more };
  }

  async *#of(of: string, after: string | undefined): AsyncGenerator<Marked> {
    for await (const [repository, { of: whose, ...mark }] of this.#deps.metadata.marks(after)) {
      if (whose === of) yield { repository, mark };
    }
  }

  async *#subjects(repository: string, after: string | undefined) {
    for await (const [key] of this.#deps.metadata.referrersOf(repository, after)) {
      const [subject, digest] = key.split('!') as [string, string];
      yield { subject, digest };
    }
  }
}

type Marked = { repository: string; mark: Mark };
