import { traceIdOf } from '#proto/contract/traceparent.ts';
import { traced } from '#proto/tracing/traced.ts';
import { tracer } from '#proto/tracing/tracer.ts';
import type { Outbound } from '../context/parking.ts';
import type { PassContext } from '../context/pass-context.ts';
import { changeKey } from '../context/pass-request.ts';

/**
 * Carries out a change as a span of the trace in which a client made it, if that has just happened: the pass may carry
 * changes of others, and is then linked. A change that waited, such as for the link, belongs to the trace of the pass,
 * with a link to the request of the client, which may be days ago.
 */
export function tracedChange<T>(
  { pass, passRequest, unsentChanges }: PassContext,
  { repository, reference, digest }: Outbound,
  run: () => Promise<T>,
): Promise<T> {
  if (!tracer) return run();
  const inPass = tracer.current?.traceparent;
  const live = passRequest.traces?.get(changeKey(repository, reference));
  const waited = digest && unsentChanges.traceparentOf(repository, digest);
  const isOwn = live !== undefined && (!inPass || traceIdOf(live) !== traceIdOf(inPass));
  const link = isOwn ? inPass : live === undefined ? waited : undefined;
  const attributes = {
    'terrace.direction': 'up',
    'terrace.pass': pass,
    'terrace.repository': repository,
    'terrace.tag': reference.includes(':') ? undefined : reference,
    'terrace.digest': digest ?? (reference.includes(':') ? reference : undefined),
  };
  const options = { attributes, ...(isOwn && { parent: live }), ...(link && { links: [link] }) };
  return traced(digest ? 'push' : 'withdraw', options, run);
}
