import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '#proto/bus/bus.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, type FaultCode } from '#proto/contract/fault.ts';

/**
 * HTTP conventions that all routes share. Nothing here calls another service.
 *
 * On arrival a request's path is folded to one segment per repository name (`repository-name.ts`), its client address
 * and host are taken from trusted proxies only (`trusted-proxies.ts`, `locations.ts`) and checked against the login
 * server (`login-server.ts`). Routes read its parts with `parameters.ts`, `paging.ts`, `ranges.ts`, `preconditions.ts`
 * and `read-body.ts`; `minimum-rate.ts` measures long bodies. A route that fails throws a Fault, and this file turns it
 * into the error response.
 */

/**
 * HTTP status and error code of each fault. Every 4xx has a code of distribution-spec 1.1 ("Error Codes", a closed
 * list), except ALREADY_ACTIVATED, which only children receive and which is the connected registry's. Every 5xx has a
 * code that docker-registry answers and clients know (UNKNOWN, UNAVAILABLE), except 507. Faults that may end by
 * themselves have a status after which clients retry: 429 if another request holds the upload, else 503.
 */
export const httpErrors: Record<FaultCode, { status: number; code: string; retryAfter?: number }> = {
  malformed: { status: 400, code: 'UNSUPPORTED' },
  'name-invalid': { status: 400, code: 'NAME_INVALID' },
  'name-unknown': { status: 404, code: 'NAME_UNKNOWN' },
  'digest-invalid': { status: 400, code: 'DIGEST_INVALID' },
  'size-invalid': { status: 400, code: 'SIZE_INVALID' },
  'blob-unknown': { status: 404, code: 'BLOB_UNKNOWN' },
  'upload-unknown': { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' },
  'upload-invalid': { status: 400, code: 'BLOB_UPLOAD_INVALID' },
  'range-invalid': { status: 416, code: 'SIZE_INVALID' },
  'manifest-unknown': { status: 404, code: 'MANIFEST_UNKNOWN' },
  'manifest-invalid': { status: 400, code: 'MANIFEST_INVALID' },
  'manifest-blob-unknown': { status: 404, code: 'MANIFEST_BLOB_UNKNOWN' },
  'too-large': { status: 413, code: 'SIZE_INVALID' },
  'too-slow': { status: 408, code: 'SIZE_INVALID' },
  unauthorized: { status: 401, code: 'UNAUTHORIZED' },
  denied: { status: 403, code: 'DENIED' },
  'too-many': { status: 429, code: 'TOOMANYREQUESTS' },
  'account-unknown': { status: 404, code: 'NAME_UNKNOWN' },
  misdirected: { status: 421, code: 'DENIED' },
  unsupported: { status: 405, code: 'UNSUPPORTED' },
  conflict: { status: 412, code: 'DENIED' },
  busy: { status: 429, code: 'TOOMANYREQUESTS', retryAfter: 1 },
  'claim-lost': { status: 503, code: 'UNAVAILABLE', retryAfter: 1 },
  exists: { status: 409, code: 'DENIED' },
  'already-activated': { status: 409, code: 'ALREADY_ACTIVATED' },
  'no-space': { status: 507, code: 'INSUFFICIENT_STORAGE' },
  'delta-invalid': { status: 422, code: 'UNSUPPORTED' },
  'archive-invalid': { status: 400, code: 'UNSUPPORTED' },
  'volume-unusable': { status: 503, code: 'UNAVAILABLE' },
  'config-invalid': { status: 500, code: 'UNKNOWN' },
  paused: { status: 503, code: 'UNAVAILABLE' },
  'window-closed': { status: 503, code: 'UNAVAILABLE' },
  'parent-unreachable': { status: 502, code: 'UNAVAILABLE' },
  'parent-refused': { status: 502, code: 'UNAVAILABLE' },
  'parent-invalid': { status: 502, code: 'UNAVAILABLE' },
  unavailable: { status: 503, code: 'UNAVAILABLE', retryAfter: 1 },
  internal: { status: 500, code: 'UNKNOWN' },
};

/** Header that names the protocol, on every response (docker-registry's HTTP API V2, "API Version Check"). */
export const API_VERSION = ['Docker-Distribution-Api-Version', 'registry/2.0'] as const;

type Answer = { status: number; code: string; message: string; detail?: unknown; retryAfter?: number };

/** Sends the error response. Clients get no details of an error that is not a Fault: they are in the log. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): void {
  const answer = answerOf(error);
  const { method } = request;
  // A query may hold secrets.
  const path = request.url.split('?', 1)[0];
  if (answer.status === 500) {
    log.error({ err: error, method, path }, 'request failed');
  } else {
    log.debug({ err: error, method, path, status: answer.status }, 'refused');
  }
  // A request that is refused before it is routed does not have this header yet.
  reply.header(...API_VERSION);
  if (answer.retryAfter !== undefined) reply.header('retry-after', String(answer.retryAfter));
  reply.code(answer.status).type('application/json').send(bodyOf(answer));
}

function answerOf(error: unknown): Answer {
  if (error instanceof Fault) {
    // Clients need not know which process holds an upload.
    if (error.code === 'busy') return { ...httpErrors.busy, message: 'another request holds it: try again' };
    const { message, detail } = error;
    const retryAfter = detail?.retryAfter;
    return {
      ...httpErrors[error.code],
      message,
      detail,
      ...(typeof retryAfter === 'number' && { retryAfter }),
    };
  }
  // Refused by Fastify before routing: a path that it cannot decode, a media type that it cannot parse.
  const { statusCode, message } = error as FastifyError;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return {
      status: statusCode,
      code: statusCode === 404 ? 'NAME_UNKNOWN' : 'UNSUPPORTED',
      message: clip(message, 200),
    };
  }
  return { ...httpErrors.internal, message: 'the registry failed: see its log' };
}

/**
 * Answers a connection that sends something other than HTTP, or headers too slowly or too large: no request exists to
 * reply to.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, reason, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large', 'the request headers are too large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', 'the request headers were not received in time']
        : [400, 'Bad Request', 'the request is not HTTP/1.1'];
  const body = bodyOf({ status: Number(status), code: 'UNSUPPORTED', message: String(message) });
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** The only place that writes an error body (distribution-spec 1.1, "Error Codes"). */
function bodyOf({ code, message, detail }: Answer): string {
  return JSON.stringify({ errors: [{ code, message, ...(detail !== undefined && { detail }) }] });
}
