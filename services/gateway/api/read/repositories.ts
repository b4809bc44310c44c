import { DEFAULT_LIMIT } from '#proto/api/lists.ts';
import { Repositories, RepositoryItem, type TagItem, Tags } from '#proto/api/repositories.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Type } from '#proto/contract/schema.ts';
import { isRepository, type Repository } from '#proto/oci/names.ts';
import { repositoryPage } from '#proto/overview/content/repository-pages.ts';
import type { Comparison } from '#proto/overview/content/sync-items.ts';
import { type RepositoryFigures, syncRepositories, syncTags } from '#proto/sync/behind.ts';
import { repositoryOf } from '../../http/parameters.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';
import { pageQuery } from '../operation/query.ts';
import type { StatusCache } from './status-cache.ts';

/** Loaded by the first request: its modules need more than a gateway otherwise. */
const loadItems = () => import('#proto/overview/content/sync-items.ts');
const loadFacts = () => import('#proto/overview/content/image-facts.ts');

/** Max tags in an answer with what belongs to their images: it may be long. */
const MAX_WITH_ATTACHED = 100;

/** Repositories and their tags, with how each stands against the parent. An operator sees all of them. */
export function repositoryOperations(
  { bus, times, mode: ownMode }: Gateway,
  status: StatusCache,
): Operation[] {
  const patience = { patience: times.patienceMs };
  const comparison = async (): Promise<Comparison> => {
    const [{ comparisonOf }, sources] = await Promise.all([loadItems(), status.read()]);
    return comparisonOf(sources, ownMode() ?? 'ReadWrite');
  };

  /** @throws Fault `name-unknown` */
  const figuresOf = async (repository: Repository): Promise<RepositoryFigures> => {
    const { repositories } = await bus.call(
      syncRepositories,
      { repository, limit: 1, contents: true },
      patience,
    );
    if (repositories[0]) return repositories[0];
    throw new Fault('name-unknown', `repository ${repository} is not known here`, { detail: { repository } });
  };

  const withImages = async (
    repository: Repository,
    items: TagItem[],
    attached: boolean,
  ): Promise<TagItem[]> => {
    const { imageFacts } = await loadFacts();
    const digests = items.flatMap(({ digest }) => digest ?? []);
    const facts = await imageFacts(bus, repository, digests, { ...patience, attached });
    return items.map((item) => {
      const image = item.digest === undefined ? undefined : facts.get(item.digest);
      return { ...item, ...(image && { image }) };
    });
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
        contents: Type.Optional(
          Type.Boolean({ description: 'With the bytes of each, and when a tag last moved. Takes longer.' }),
        ),
      }),
      answers: { 200: Repositories },
      handler: async ({ query }): Promise<Repositories> => {
        const { after, limit = DEFAULT_LIMIT, match, state, contents } = query;
        const wanted = { after: repositoryAfter(after), only: state, match: match?.toLowerCase(), contents };
        const [{ found, next }, compared] = await Promise.all([
          repositoryPage(bus, wanted, limit, patience),
          comparison(),
        ]);
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
        contents: Type.Optional(
          Type.Boolean({ description: 'With the size and the platforms of each image. Takes longer.' }),
        ),
        attached: Type.Optional(
          Type.Boolean({
            description:
              'The same, with the signatures, SBOMs and attestations of each image; 100 tags at most.',
          }),
        ),
      }),
      answers: { 200: Tags },
      refusals: [404],
      handler: async ({ request, query }): Promise<Tags> => {
        const { after, differing = false, contents = false, attached = false } = query;
        const { limit: wantedLimit = DEFAULT_LIMIT } = query;
        const limit = attached ? Math.min(wantedLimit, MAX_WITH_ATTACHED) : wantedLimit;
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
        const items = tags.map((tag) => tagItem(tag, covered, { ...compared, known }));
        return {
          items: contents || attached ? await withImages(repository, items, attached) : items,
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
