import { Fault } from '#proto/contract/fault.ts';
import { TRACEPARENT } from '#proto/contract/traceparent.ts';
import type { Attributes, Span, Tracer } from '#proto/tracing/tracer.ts';
import type { Answer } from '../answers/bodies.ts';

/** Statuses that are part of the protocol: a challenge, and the answer that content does not exist. */
const EXPECTED = [401, 404];

/**
 * Sends a request as a span, within a trace only. The parent gets the `traceparent`; other hosts do not, and of them
 * the span has the name alone, as their URLs may hold signatures.
 * @param send gets the headers to add
 */
export async function tracedRequest(
  tracer: Tracer,
  { url, method, isParent }: { url: URL; method: string; isParent: boolean },
  send: (headers: Record<string, string>) => Promise<Answer>,
): Promise<Answer> {
  if (!tracer.current) return send({});
  const attributes: Attributes = {
    'http.request.method': method,
    'server.address': url.hostname,
    'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
    'url.scheme': url.protocol.slice(0, -1),
    'url.path': isParent ? url.pathname : undefined,
  };
  const span = tracer.start(method, { kind: 'client', attributes });
  let answer: Answer;
  try {
    answer = await tracer.within(span, () => send(isParent ? { [TRACEPARENT]: span.traceparent } : {}));
  } catch (error) {
    span.fail(error);
    span.end();
    throw error;
  }
  note(span, answer.statusCode);
  // Only the bodies of GETs are read in any case, or discarded.
  if (method === 'GET' && !answer.body.closed) answer.body.once('close', () => span.end());
  else span.end();
  return answer;
}

function note(span: Span, status: number): void {
  span.set({ 'http.response.status_code': status });
  if (status < 400) return;
  if (EXPECTED.includes(status)) span.set({ 'error.type': String(status) });
  else span.fail(new Fault('parent-refused', `the parent answered ${status}`));
}
