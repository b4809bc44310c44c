import { Fault, type FaultCode } from '#proto/contract/fault.ts';
import { traceIdOf } from '#proto/contract/traceparent.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import { traced } from '#proto/tracing/traced.ts';
import { tracer } from '#proto/tracing/tracer.ts';
import type { PassRequest } from '../reconcile/context/pass-request.ts';

/** Max changes to which the span of a pass has links. */
const MAX_LINKS = 64;

/**
 * Makes a pass as a span. If the changes that caused it belong to one trace, so does the pass: the usual push of one
 * image. Otherwise it is a trace of its own, with links to the spans of the changes.
 */
export function tracedPass(request: PassRequest, make: () => Promise<PassResult>): Promise<PassResult> {
  if (!tracer) return make();
  const { id, cause, scope, full = false, traces } = request;
  const causes = [...new Set(traces?.values())];
  const [first] = causes;
  const isOneTrace = new Set(causes.map(traceIdOf)).size === 1;
  const attributes = {
    'terrace.pass': id,
    'terrace.pass.cause': cause,
    'terrace.pass.scoped': scope !== undefined,
    'terrace.pass.full': full,
  };
  const parent = isOneTrace && first ? first : null;
  const links = isOneTrace ? [] : causes.slice(0, MAX_LINKS);
  return traced('pass', { parent, links, attributes }, async (span) => {
    const result = await make();
    const { taken, dropped, sent, withdrawn, failed, parked, failures } = result;
    const counts = { taken, dropped, sent, withdrawn, failed, parked };
    for (const [name, count] of Object.entries(counts)) span?.set({ [`terrace.pass.${name}`]: count });
    const [failure] = failures;
    if (failed > 0 && failure) span?.fail(new Fault(failure.code as FaultCode, failure.reason));
    return result;
  });
}
