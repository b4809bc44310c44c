import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '#proto/contract/fault.ts';
import { etagOf, isFresh } from '../http/preconditions.ts';
import { type Gateway, registerResource } from '../routes/resource.ts';
import { type PageFile, readPageFiles } from './page-files.ts';

const PAGE_PATH = '/ui/';
const INDEX = 'index.html';

/** The page requests nothing from any other host, and no other page frames it, opens it or reads it. */
const SECURITY: Record<string, string> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), usb=(), serial=()',
};

/** A name with a hash of its content never changes its content. */
const IMMUTABLE = 'public, max-age=31536000, immutable';

/** The page is read with the first request for it: most layers of a fleet are never looked at. */
export function registerPageRoutes(app: FastifyInstance, gateway: Gateway): void {
  let files: Promise<Map<string, PageFile>> | undefined;
  const send = async (name: string, request: FastifyRequest, reply: FastifyReply) => {
    files ??= readPageFiles();
    const file = (await files).get(name);
    if (!file) throw new Fault('name-unknown', `the page has no file ${name.slice(0, 100)}: load it again`);
    return sendFile(file, name, request, reply.headers(SECURITY));
  };
  const redirect = async (_request: FastifyRequest, reply: FastifyReply) =>
    // Relative, so that it is right behind any proxy.
    reply.header('cache-control', 'no-cache').redirect('ui/', 302);

  const index = {
    needs: 'nothing',
    handler: (request: FastifyRequest, reply: FastifyReply) => send(INDEX, request, reply),
    answer: '200: the page of the layer, which reads the API; 304: `If-None-Match` names it',
  } as const;
  const asset = {
    needs: 'nothing',
    handler: (request: FastifyRequest, reply: FastifyReply) =>
      send((request.params as { '*': string })['*'] || INDEX, request, reply),
    answer: '200: a file of the page; 304: `If-None-Match` names it',
  } as const;
  const home = { needs: 'nothing', handler: redirect, answer: '302: the page' } as const;
  registerResource(app, gateway, '/', { GET: home, HEAD: home });
  registerResource(app, gateway, '/ui', { GET: home, HEAD: home });
  registerResource(app, gateway, PAGE_PATH, { GET: index, HEAD: index });
  registerResource(app, gateway, `${PAGE_PATH}*`, { GET: asset, HEAD: asset });
}

function sendFile(file: PageFile, name: string, { headers }: FastifyRequest, reply: FastifyReply) {
  reply.header('cache-control', name === INDEX ? 'no-cache' : IMMUTABLE);
  reply.header('etag', etagOf(file.digest)).header('vary', 'accept-encoding');
  if (isFresh(headers, file.digest)) return reply.code(304).send();
  reply.type(file.type);
  if (!file.packed || !acceptsGzip(headers['accept-encoding'])) return reply.send(file.bytes);
  return reply.header('content-encoding', 'gzip').send(file.packed);
}

const acceptsGzip = (accepted: string | string[] | undefined): boolean =>
  /(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)/i.test(String(accepted ?? ''));
