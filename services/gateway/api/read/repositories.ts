import { DEFAULT_LIMIT } from '#proto/api/lists.ts';
import { Repositories, RepositoryItem, Tags } from '#proto/api/repositories.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Type } from '#proto/contract/schema.ts';
import { isRepository, type Repository } from '#proto/oci/names.ts';
import { type RepositoryFigures, syncRepositories, syncTags } from '#proto/sync/behind.ts';
import { repositoryOf } from '../../http/parameters.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';
import { pageQuery } from '../operation/query.ts';
import type { StatusCache } from './status-cache.ts';
import type { Comparison } from './sync-items.ts';

/** Loaded by the first request: its modules need more than a gateway otherwise. */
const loadItems = () => import('./sync-items.ts');

/** Entries per call to storage, and max calls for one answer: a search that finds little continues with `next`. */
const BATCH = 200;
const MAX_CALLS = 10;

type Search = {
  after?: string | undefined;
  only?: 'behind' | 'ahead' | undefined;
  match?: string | undefined;
};

/** Repositories and their tags, with how each stands against the parent. An operator sees all of them. */
export function repositoryOperations(
  { bus, times, mode: ownMode }: Gateway,
  status: StatusCache,
): Operation[] {
  const patience = { patience: times.patienceMs };
  const comparison = async (): Promise<Comparison> => {
    const { configuration, sync } = await status.read();
    // What the figure of the layer does not claim, none of its repositories does, unless others are the cause.
    const known = sync?.asOf !== undefined && (sync.state !== 'unknown' || (sync.uncompared ?? 0) > 0);
    const hasParent = configuration?.parent !== undefined;
    return { hasParent, mode: configuration?.mode ?? ownMode() ?? 'ReadWrite', known };
  };

  const search = async (
    { after, only, match }: Search,
    limit: number,
  ): Promise<{ found: RepositoryFigures[]; next?: string }> => {
    const found: RepositoryFigures[] = [];
    let last = after;
    for (let calls = 0; calls < MAX_CALLS; calls += 1) {
      const query = {
        limit: Math.min(BATCH, limit - found.length),
        ...(last !== undefined && { after: last }),
        ...(only && { only }),
        ...(match !== undefined && { match }),
      };
      const page = await bus.call(syncRepositories, query, patience);
      for (const figures of page.repositories) found.push(figures);
      if (!page.more) return { found };
      last = page.searched ?? page.repositories.at(-1)?.repository ?? last;
      if (found.length >= limit) break;
    }
    return { found, ...(last !== undefined && { next: last }) };
  };

  /** @throws Fault `name-unknown` */
  const figuresOf = async (repository: Repository): Promise<RepositoryFigures> => {
    const { repositories } = await bus.call(syncRepositories, { repository, limit: 1 }, patience);
    if (repositories[0]) return repositories[0];
    throw new Fault('name-unknown', `repository ${repository} is not known here`, { detail: { repository } });
  };

  return [
    operation({
      method: 'GET',
      path: '/repositories',
      needs: 'operate/read',
      summary: 'Repositories in bytewise order, those that only the parent has yet included.',
      query: Type.Object({
        ...pageQuery,
        state: Type.Optional(
          Type.Union([Type.Literal('behind'), Type.Literal('ahead')], {
            description: 'Only repositories that are behind, or that have changes for the parent.',
          }),
        ),
        match: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: 255,
            description:
              'Only repositories whose names contain this. An answer may then have few, and `next`.',
          }),
        ),
      }),
      answers: { 200: Repositories },
      handler: async ({ query }): Promise<Repositories> => {
        const { after, limit = DEFAULT_LIMIT, match, state } = query;
        const wanted = { after: repositoryAfter(after), only: state, match: match?.toLowerCase() };
        const [{ found, next }, compared] = await Promise.all([search(wanted, limit), comparison()]);
        const { repositoryItem } = await loadItems();
        const items = found.map((one) => repositoryItem(one, compared));
        return { items, ...(next !== undefined && { next }) };
      },
    }),
    operation({
      method: 'GET',
      path: '/repositories/:name',
      needs: 'operate/read',
      summary: 'A repository.',
      answers: { 200: RepositoryItem },
      refusals: [404],
      handler: async ({ request }) => {
        const { repositoryItem } = await loadItems();
        return repositoryItem(await figuresOf(repositoryOf(request)), await comparison());
      },
    }),
    operation({
      method: 'GET',
      path: '/repositories/:name/tags',
      needs: 'operate/read',
      summary: 'Tags of a repository in bytewise order, those that only the parent has yet included.',
      query: Type.Object({
        ...pageQuery,
        differing: Type.Optional(
          Type.Boolean({ description: 'Only tags that are not equal on both sides.' }),
        ),
      }),
      answers: { 200: Tags },
      refusals: [404],
      handler: async ({ request, query }): Promise<Tags> => {
        const { after, limit = DEFAULT_LIMIT, differing = false } = query;
        const repository = repositoryOf(request);
        const wanted = { repository, limit, ...(after !== undefined && { after }), differing };
        const [{ tags, covered, uncompared, more }, compared] = await Promise.all([
          bus.call(syncTags, wanted, patience),
          comparison(),
        ]);
        if (tags.length === 0 && after === undefined) await figuresOf(repository);
        const { tagItem } = await loadItems();
        const last = tags.at(-1)?.tag;
        const known = compared.known && !uncompared;
        return {
          items: tags.map((tag) => tagItem(tag, covered, { ...compared, known })),
          ...(more && last !== undefined && { next: last }),
        };
      },
    }),
  ];
}

/** @throws Fault `malformed` */
function repositoryAfter(after: string | undefined): string | undefined {
  if (after === undefined || isRepository(after)) return after;
  throw new Fault('malformed', 'query parameter after is not valid: write next of the previous answer');
}
