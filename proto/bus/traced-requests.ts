import type { Request } from '../contract/contract.ts';
import { parseTraceparent, TRACEPARENT } from '../contract/traceparent.ts';
import { tracedWithin } from '../tracing/traced.ts';
import { type Attributes, tracer } from '../tracing/tracer.ts';
import type { CallOptions } from './calls.ts';

/**
 * Requests as spans, one of the caller and one of the responder, which continues it by the header `traceparent`. Only
 * within a trace: what services ask each other by themselves, such as storage for jobs, begins none.
 */

const attributesOf = (subject: string): Attributes => ({
  'messaging.system': 'nats',
  'messaging.destination.name': subject,
});

/** Sends a request, within the current trace. @param send gets the options with the context for the responder */
export function callWithin<T>(
  { subject }: Request,
  options: CallOptions | undefined,
  send: (options: CallOptions | undefined) => Promise<T>,
): Promise<T> {
  return tracedWithin(subject, { kind: 'client', attributes: attributesOf(subject) }, () => {
    const traceparent = tracer?.current?.traceparent;
    return send(traceparent === undefined ? options : { ...options, traceparent });
  });
}

/** Answers a request, within the trace of its caller. */
export function answerWithin<T>(
  subject: string,
  headers: { get(name: string): string } | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const parent = parseTraceparent(headers?.get(TRACEPARENT));
  if (!parent) return work();
  return tracedWithin(subject, { kind: 'server', parent, attributes: attributesOf(subject) }, work);
}
