import type { FastifyInstance } from 'fastify';
import { missingBlobs } from '#proto/content/blobs.ts';
import { type Gateway, type Handler, resource } from './resource.ts';

export function baseRoutes(app: FastifyInstance, gateway: Gateway): void {
  // distribution-spec 1.1, "Determining Support": end-1
  const support: Handler = async (_request, reply) => reply.type('application/json').send('{}');
  resource(app, gateway, '/v2/', { GET: ['login', support], HEAD: ['login', support] });
  resource(app, gateway, '/v2', { GET: ['login', support], HEAD: ['login', support] });

  // Health check for monitors: healthy if storage answers.
  const health: Handler = async (_request, reply) => {
    await gateway.bus.call(missingBlobs, { digests: [] }, { patience: 0 });
    return reply.type('application/json').send('{}');
  };
  resource(app, gateway, '/healthz', { GET: ['nothing', health], HEAD: ['nothing', health] });
}
