import type { FastifyInstance, FastifyRequest } from 'fastify';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import { parseTraceparent, TRACEPARENT } from '#proto/contract/traceparent.ts';
import type { Attributes, Span, Tracer } from '#proto/tracing/tracer.ts';

/** What layers below ask by themselves all the time, such as long polls. It belongs to a trace, or is not traced. */
const BELOW = '/v2/_terrace/';

/**
 * Each request as a span, for as long as its answer takes. It continues the trace that its `traceparent` names, which
 * is no proof of anything: it decides nothing but the parent of the span, and whether the trace is sampled. To be
 * called before other hooks are added, and only if traces are on.
 */
export function traceRequests(app: FastifyInstance, tracer: Tracer): void {
  const errors = new WeakMap<FastifyRequest, Error>();
  app.addHook('onRequest', (request, { raw }, done) => {
    const parent = parseTraceparent(request.headers[TRACEPARENT]);
    const route = request.routeOptions.url;
    if (!parent && route?.startsWith(BELOW)) return done();
    const name = route ? `${request.method} ${route}` : request.method;
    const span = tracer.start(name, {
      kind: 'server',
      parent: parent ?? null,
      attributes: attributesOf(request, route),
    });
    raw.once('close', () => end(span, raw.statusCode, raw.writableFinished, errors.get(request)));
    tracer.within(span, done);
  });
  app.addHook('onError', (request, _reply, error, done) => {
    errors.set(request, error);
    done();
  });
}

function end(span: Span, status: number, isComplete: boolean, error: Error | undefined): void {
  span.set({
    'http.response.status_code': status,
    ...(!isComplete && { 'error.type': 'disconnected' }),
    ...(Fault.is(error) && { 'error.type': error.code }),
  });
  if (status >= 500) span.fail(error ?? new Fault('internal', 'the answer is an error'));
  span.end();
}

/** Without the query, which may hold secrets. */
function attributesOf(request: FastifyRequest, route: string | undefined): Attributes {
  const { name, reference, digest, child } = request.params as Record<string, string | undefined>;
  const isDigest = reference?.includes(':');
  return {
    'http.request.method': request.method,
    'http.route': route,
    'url.path': clip(request.url.split('?', 1)[0]?.replaceAll('%2F', '/') ?? '', 300),
    'url.scheme': request.protocol,
    'server.address': request.hostname,
    'user_agent.original': request.headers['user-agent'] && clip(request.headers['user-agent'], 200),
    'terrace.repository': name && clip(name, 255),
    'terrace.tag': isDigest ? undefined : reference && clip(reference, 140),
    'terrace.digest': clip((isDigest ? reference : digest) ?? '', 140) || undefined,
    'terrace.child': child && clip(child, 80),
  };
}
