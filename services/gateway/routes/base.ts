import type { FastifyInstance } from 'fastify';
import { missingBlobs } from '#proto/content/blobs.ts';
import { HEALTH_PATH } from '../http/login-server.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

export function registerBaseRoutes(app: FastifyInstance, gateway: Gateway): void {
  // distribution-spec 1.1, "Determining Support"
  const support: RouteHandler = async (_request, reply) => reply.type('application/json').send('{}');
  const base = {
    needs: 'login',
    handler: support,
    spec: 'end-1',
    answer: '200: the API is supported, and the login is valid',
  } as const;
  registerResource(app, gateway, '/v2/', { GET: base, HEAD: base });
  registerResource(app, gateway, '/v2', { GET: base, HEAD: base });

  // Health check for monitors: healthy if storage answers.
  const health: RouteHandler = async (_request, reply) => {
    await gateway.bus.call(missingBlobs, { digests: [] }, { patience: 0 });
    return reply.type('application/json').send('{}');
  };
  const check = { needs: 'nothing', handler: health, answer: '200 while storage answers, else 503' } as const;
  registerResource(app, gateway, HEALTH_PATH, { GET: check, HEAD: check });
}
