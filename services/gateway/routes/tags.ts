import type { FastifyInstance, FastifyRequest } from 'fastify';
import { listRepositories, listTags } from '#proto/content/manifests.ts';
import { sees } from '../auth/request-caller.ts';
import { linkNext, type PageRequest, pageOf } from '../http/paging.ts';
import { repositoryOf } from '../http/parameters.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

/** Repositories per call to storage. */
const BATCH = 1_000;

export function registerTagRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times } = gateway;
  const patience = { patience: times.patienceMs };

  // distribution-spec 1.1, "Listing tags"
  const tags: RouteHandler = async (request, reply) => {
    const repository = repositoryOf(request);
    const page = pageOf(request);
    const listed = await bus.call(listTags, { repository, ...page }, patience);
    const names = listed.tags.map(({ tag }) => tag);
    linkNext(reply, `/v2/${repository}/tags/list`, page, names.at(-1), listed.more);
    return reply.type('application/json').send(JSON.stringify({ name: repository, tags: names }));
  };

  // docker-registry's HTTP API V2, "Listing Repositories"; not part of the distribution-spec.
  const catalog: RouteHandler = async (request, reply) => {
    const page = pageOf(request);
    const { repositories, more } = await listVisible(request, page);
    linkNext(reply, '/v2/_catalog', page, repositories.at(-1), more);
    return reply.type('application/json').send(JSON.stringify({ repositories }));
  };

  /**
   * Looks for one repository more than the page has: a link to the next page must not reveal repositories that the
   * caller may not see.
   */
  const listVisible = async (request: FastifyRequest, { limit, after }: PageRequest) => {
    const visible: string[] = [];
    let last = after;
    for (let more = limit > 0; more && visible.length <= limit; ) {
      const page = await bus.call(listRepositories, { limit: BATCH, ...(last && { after: last }) }, patience);
      for (const repository of page.repositories) if (sees(request, repository)) visible.push(repository);
      last = page.repositories.at(-1);
      more = page.more;
    }
    return { repositories: visible.slice(0, limit), more: visible.length > limit };
  };

  const ofTags = {
    needs: 'metadata/read',
    handler: tags,
    spec: 'end-8a, end-8b',
    answer: '200: the tags in bytewise order; `n` and `last` select a page',
  } as const;
  registerResource(app, gateway, '/v2/:name/tags/list', { GET: ofTags, HEAD: ofTags });
  const ofRepositories = {
    needs: 'catalog',
    handler: catalog,
    answer: '200: the repositories that the caller may see; `n` and `last` select a page',
  } as const;
  registerResource(app, gateway, '/v2/_catalog', { GET: ofRepositories, HEAD: ofRepositories });
}
