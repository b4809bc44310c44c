import type { FastifyInstance } from 'fastify';
import { listRepositories, listTags } from '#proto/manifests.ts';
import { linkNext, pageOf } from '../pages.ts';
import { type Gateway, type Handler, repositoryOf, resource } from '../routing.ts';

export function tagRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, times } = gateway;
  const patience = { patience: times.patienceMs };

  // distribution-spec 1.1, "Listing tags": end-8a, end-8b
  const tags: Handler = async (request, reply) => {
    const repository = repositoryOf(request);
    const page = pageOf(request);
    const found = await bus.call(listTags, { repository, ...page }, patience);
    const names = found.tags.map(({ tag }) => tag);
    linkNext(request, reply, `/v2/${repository}/tags/list`, page, names.at(-1), found.more);
    return reply.type('application/json').send(JSON.stringify({ name: repository, tags: names }));
  };

  // docker-registry's HTTP API V2, "Listing Repositories"; the distribution-spec leaves it out.
  const catalog: Handler = async (request, reply) => {
    const page = pageOf(request);
    const { repositories, more } = await bus.call(listRepositories, page, patience);
    linkNext(request, reply, '/v2/_catalog', page, repositories.at(-1), more);
    return reply.type('application/json').send(JSON.stringify({ repositories }));
  };

  resource(app, gateway, '/v2/:name/tags/list', {
    GET: ['metadata/read', tags],
    HEAD: ['metadata/read', tags],
  });
  resource(app, gateway, '/v2/_catalog', { GET: ['catalog', catalog], HEAD: ['catalog', catalog] });
}
