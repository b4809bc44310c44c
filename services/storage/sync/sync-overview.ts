import type { Static } from '@sinclair/typebox';
import type { RepositoryFigures, syncRepositories, syncTags, TagFigures } from '#proto/sync/behind.ts';
import type { Ahead } from '#proto/sync/sync-figure.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { page } from '../metadata/page.ts';
import type { BehindRecord, UncomparedRecord } from '../metadata/records.ts';
import { repositoriesIn, sumBehind } from './behind-tags.ts';
import { inOrder, namesOf } from './in-order.ts';
import { contentsOf } from './repository-contents.ts';
import type { Selection } from './selection.ts';
import type { TagIndex } from './tag-index.ts';
import type { TagOrigins } from './tag-origins.ts';

type OverviewDeps = {
  metadata: Metadata;
  selection: Selection;
  tagIndex: TagIndex;
  origins: Pick<TagOrigins, 'of'>;
};

/** Max names that one request examines; their figures are read only if they match. */
const MAX_SEARCHED = 5_000;

/** How each repository, and each tag of one, stands against the parent: pages for people. */
export class SyncOverview {
  readonly #deps: OverviewDeps;

  constructor(deps: OverviewDeps) {
    this.#deps = deps;
  }

  async repositories({
    after,
    limit,
    only,
    match,
    repository,
    contents = false,
  }: Static<typeof syncRepositories.query>): Promise<Static<typeof syncRepositories.reply>> {
    if (repository !== undefined) {
      const isKnown = await this.#isKnown(repository);
      return { repositories: isKnown ? [await this.#figures(repository, contents)] : [], more: false };
    }
    const { names, more, searched } = await search(this.#names(after, only), limit, match);
    const repositories: RepositoryFigures[] = [];
    for (const name of names) repositories.push(await this.#figures(name, contents));
    return { repositories, more, ...(searched !== undefined && { searched }) };
  }

  async #isKnown(repository: string): Promise<boolean> {
    const { metadata } = this.#deps;
    if ((await metadata.repository(repository)) || (await this.#uncompared(repository))) return true;
    for await (const _ of this.#behindOf(repository)) return true;
    return false;
  }

  #uncompared(repository: string): Promise<UncomparedRecord | undefined> {
    const { metadata, selection } = this.#deps;
    return selection.hasParent ? metadata.uncompared(repository) : Promise.resolve(undefined);
  }

  #behindOf(repository: string, after?: string): AsyncIterable<[tag: string, record: BehindRecord]> {
    const { metadata, selection } = this.#deps;
    return selection.hasParent ? metadata.behindOfRepository(repository, after) : nothing();
  }

  #names(after: string | undefined, only: 'behind' | 'ahead' | undefined): AsyncGenerator<string> {
    const { metadata, selection } = this.#deps;
    const { hasParent } = selection;
    const behind = hasParent ? [repositoriesIn(metadata.allBehind, after)] : [];
    if (only === 'behind') return inOrder(behind);
    if (only === undefined) {
      const uncompared = hasParent ? [namesOf(metadata.allUncompared(after))] : [];
      return inOrder([namesOf(metadata.repositories(after)), ...behind, ...uncompared]);
    }
    if (!selection.pushes) return inOrder([]);
    const { allUnsent, allWithdrawn, allParked } = metadata;
    const outgoing = [allUnsent, allWithdrawn, allParked].map((all) => repositoriesIn(all, after));
    return inOrder([...outgoing, this.#changedRepositories(after)]);
  }

  async *#changedRepositories(after = ''): AsyncGenerator<string> {
    const changed = await this.#deps.tagIndex.changed();
    yield* [...changed.keys()].filter((name) => name > after).sort();
  }

  async #figures(repository: string, contents: boolean): Promise<RepositoryFigures> {
    const { metadata, selection, tagIndex } = this.#deps;
    const records = await Array.fromAsync(this.#behindOf(repository), ([, record]) => record);
    const uncompared = await this.#uncompared(repository);
    return {
      repository,
      covered: selection.covers(repository),
      ...(await tagIndex.counts(repository)),
      behind: sumBehind(records),
      ahead: await this.#ahead(repository),
      ...(uncompared && { uncompared }),
      ...(contents && (await contentsOf(metadata, repository))),
    };
  }

  async #ahead(repository: string): Promise<Ahead> {
    const { metadata, selection, tagIndex } = this.#deps;
    if (!selection.pushes) return { tags: 0, manifests: 0, deletions: 0, parked: 0 };
    const tags = (await tagIndex.changed()).get(repository)?.size ?? 0;
    const [manifests, deletions, parked] = await Promise.all([
      countOf(metadata.unsentOfRepository(repository)),
      countOf(metadata.withdrawnOfRepository(repository)),
      countOf(metadata.parkedOfRepository(repository)),
    ]);
    return { tags, manifests, deletions, parked };
  }

  async tags({
    repository,
    after,
    limit,
    differing = false,
    tag,
  }: Static<typeof syncTags.query>): Promise<Static<typeof syncTags.reply>> {
    const covered = this.#deps.selection.covers(repository);
    const [tags, more] = await page(
      tag === undefined ? this.#tagFigures(repository, after, differing) : this.#oneTag(repository, tag),
      limit,
      (tag) => JSON.stringify(tag).length,
    );
    const isUncompared = (await this.#uncompared(repository)) !== undefined;
    return { covered, ...(isUncompared && { uncompared: true }), tags, more };
  }

  async *#tagFigures(
    repository: string,
    after: string | undefined,
    differing: boolean,
  ): AsyncGenerator<TagFigures> {
    const { metadata } = this.#deps;
    const names = inOrder([
      namesOf(metadata.tagsOfRepository(repository, after)),
      namesOf(metadata.basesOfRepository(repository, after)),
      namesOf(this.#behindOf(repository, after)),
    ]);
    for await (const tag of names) {
      const figures = await this.#figuresOfTag(repository, tag);
      const { digest, base, behind, parked } = figures;
      if (differing && digest === base && !behind && !parked) continue;
      yield figures;
    }
  }

  async *#oneTag(repository: string, tag: string): AsyncGenerator<TagFigures> {
    const figures = await this.#figuresOfTag(repository, tag);
    const { digest, base, behind } = figures;
    if (digest !== undefined || base !== undefined || behind) yield figures;
  }

  async #figuresOfTag(repository: string, tag: string): Promise<TagFigures> {
    const { metadata, selection, origins } = this.#deps;
    const [digest, base, recorded, parked, origin] = await metadata.ofTag(repository, tag);
    const behind = selection.hasParent ? recorded : undefined;
    return {
      tag,
      ...(digest !== undefined && { digest, origin: origins.of(origin, digest) }),
      ...(base !== undefined && { base }),
      ...(behind && { behind }),
      ...(parked && { parked: parkedOf(parked) }),
    };
  }
}

/** Names that contain `match`, all by default. @returns `searched`: the last name that was examined */
async function search(
  all: AsyncGenerator<string>,
  limit: number,
  match = '',
): Promise<{ names: string[]; more: boolean; searched: string | undefined }> {
  const names: string[] = [];
  let searched: string | undefined;
  let count = 0;
  for await (const name of all) {
    if (names.length === limit || count === MAX_SEARCHED) return { names, more: true, searched };
    if (name.includes(match)) names.push(name);
    searched = name;
    count += 1;
  }
  return { names, more: false, searched };
}

const parkedOf = ({ code, reason, since, attempts, retry }: NonNullable<TagFigures['parked']>) => ({
  code,
  reason,
  since,
  attempts,
  retry,
});

async function* nothing(): AsyncGenerator<never> {}

async function countOf(entries: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of entries) count += 1;
  return count;
}
