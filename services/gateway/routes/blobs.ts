import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { locateBlob, unlinkBlob } from '#proto/content/blobs.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { traced } from '#proto/tracing/traced.ts';
import { tracer } from '#proto/tracing/tracer.ts';
import { onBehalfOf } from '../auth/request-caller.ts';
import { openBlob } from '../content/open-content.ts';
import { length, type Part, sendParts, UNBUFFERED } from '../content/send-blob.ts';
import { digestParameter, repositoryOf } from '../http/parameters.ts';
import { etagOf, isFresh, rangeFor } from '../http/preconditions.ts';
import { type ByteRange, parseRange } from '../http/ranges.ts';
import { type Gateway, type RouteHandler, registerResource } from './resource.ts';

const TYPE = 'application/octet-stream';

export function registerBlobRoutes(app: FastifyInstance, gateway: Gateway): void {
  const { bus, volume, cache, times, log, access } = gateway;
  const patience = { patience: times.patienceMs };

  // distribution-spec 1.1, "Checking if content exists in the registry"
  const head: RouteHandler = async (request, reply) => {
    const digest = digestParameter(request);
    // Not cached: a pushing client relies on this answer, so storage must renew the grace time of the blob.
    const { size } = await bus.call(locateBlob, { repository: repositoryOf(request), digest }, patience);
    describe(reply, digest);
    if (isFresh(request.headers, digest)) return reply.code(304).send();
    return reply.header('content-length', size).type(TYPE).send();
  };

  // distribution-spec 1.1, "Pulling blobs"
  const get: RouteHandler = async (request, reply) => {
    const digest = digestParameter(request);
    const opened = await openBlob(volume, cache, repositoryOf(request), digest);
    await using file = opened.file;
    const { size } = opened.place;
    describe(reply, digest);
    if (isFresh(request.headers, digest)) return reply.code(304).send();

    const ranges = parseRange(rangeFor(request.headers, digest), size);
    if (ranges !== 'all' && ranges.length === 0) {
      reply.header('content-range', `bytes */${size}`);
      throw new Fault('range-invalid', `the blob has ${size} bytes: the requested range is outside of it`);
    }
    const { status, headers, parts } = plan(ranges, size);
    reply.hijack();
    reply.raw.writeHead(status, { ...(reply.getHeaders() as Record<string, string>), ...headers });
    const stillAllowed = access.stillAllowed(request, reply);
    const options = { ...times, stillAllowed };
    const sending = tracer
      ? traced('send', { attributes: { 'terrace.digest': digest } }, () =>
          sendParts(reply, file, parts, options),
        )
      : sendParts(reply, file, parts, options);
    await sending.catch((err) => {
      log.error({ err, digest }, 'cannot read a blob; storage checks it');
      void cache.check(digest).catch((error) => log.warn({ err: error, digest }, 'the blob was not checked'));
    });
    return reply;
  };

  // distribution-spec 1.1, "Deleting Blobs"
  const remove: RouteHandler = async (request, reply) => {
    const query = { repository: repositoryOf(request), digest: digestParameter(request) };
    await bus.call(unlinkBlob, query, onBehalfOf(request, gateway));
    return reply.code(202).send();
  };

  registerResource(app, gateway, '/v2/:name/blobs/:digest', {
    GET: {
      needs: 'content/read',
      handler: get,
      spec: 'end-2',
      answer:
        '200: the blob; 206: the ranges of it that `Range` names; 304: `If-None-Match` names its digest',
    },
    HEAD: { needs: 'content/read', handler: head, spec: 'end-2', answer: '200: its size; 304 as for GET' },
    DELETE: {
      needs: 'content/delete',
      handler: remove,
      spec: 'end-10',
      answer: '202: the repository no longer links the blob',
    },
  });
}

function describe(reply: FastifyReply, digest: Digest): void {
  reply.headers({
    'docker-content-digest': digest,
    etag: etagOf(digest),
    'accept-ranges': 'bytes',
    'cache-control': 'max-age=31536000, immutable',
    ...UNBUFFERED,
  });
}

type Answer = { status: number; headers: Record<string, string>; parts: Part[] };

/** Response for these ranges: the full blob, one range, or several as `multipart/byteranges` (RFC 9110, 14.6). */
function plan(ranges: ByteRange[] | 'all', size: number): Answer {
  if (ranges === 'all') {
    const headers = { 'content-type': TYPE, 'content-length': String(size) };
    return { status: 200, headers, parts: size > 0 ? [{ first: 0, last: size - 1 }] : [] };
  }
  if (ranges.length === 1) {
    const [range] = ranges as [ByteRange];
    const headers = {
      'content-type': TYPE,
      'content-length': String(length(range)),
      'content-range': `bytes ${range.first}-${range.last}/${size}`,
    };
    return { status: 206, headers, parts: [range] };
  }
  const boundary = randomBytes(18).toString('hex');
  const parts = ranges.flatMap((range, index): Part[] => [
    `${index > 0 ? '\r\n' : ''}--${boundary}\r\nContent-Type: ${TYPE}\r\nContent-Range: bytes ${range.first}-${range.last}/${size}\r\n\r\n`,
    range,
  ]);
  parts.push(`\r\n--${boundary}--\r\n`);
  const bytes = parts.reduce((sum, part) => sum + (typeof part === 'string' ? part.length : length(part)), 0);
  return {
    status: 206,
    headers: {
      'content-type': `multipart/byteranges; boundary=${boundary}`,
      'content-length': String(bytes),
    },
    parts,
  };
}
