import type { Traceparent } from '../contract/traceparent.ts';
import { type Span, type SpanOptions, type Tracer, tracer } from './tracer.ts';

/** Runs work as a span, if traces are on. Not for hot paths: the caller allocates the options and the work. */
export function traced<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span | undefined) => Promise<T>,
): Promise<T> {
  return tracer ? runAsSpan(tracer, name, options, work) : work(undefined);
}

/** The same within a trace only: without a current span, and without `parent`, nothing begins. */
export function tracedWithin<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> {
  if (!tracer || (!options.parent && !tracer.current)) return work();
  return runAsSpan(tracer, name, options, work);
}

async function runAsSpan<T>(
  current: Tracer,
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const span = current.start(name, options);
  try {
    return await current.within(span, () => work(span));
  } catch (error) {
    span.fail(error);
    throw error;
  } finally {
    span.end();
  }
}

/** For the next process, as a field of a message; empty while traces are off, and outside of a trace. */
export function traceField(): { traceparent?: Traceparent } {
  const traceparent = tracer?.current?.traceparent;
  return traceparent === undefined ? NONE : { traceparent };
}

const NONE: { traceparent?: Traceparent } = Object.freeze({});
