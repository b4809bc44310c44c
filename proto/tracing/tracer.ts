import type { Traceparent } from '../contract/traceparent.ts';

/**
 * Traces: which request, pass and transfer caused which other one, across processes and layers.
 *
 * Off by default, and then `tracer` is undefined: hot paths check that and do nothing else. Where the environment turns
 * traces on, `services/process/traces.ts` sets a tracer before the services start. `traced.ts` runs work as a span, and
 * no file but one imports OpenTelemetry. A span is found again in another process by its traceparent: in the headers of
 * requests (HTTP and bus), in the envelope of events and in the job of a transfer.
 */

/** Values are clipped. What is undefined is left out. */
export type Attributes = Record<string, string | number | boolean | undefined>;

export type SpanOptions = {
  kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  attributes?: Attributes;
  /** The span that caused this one; left out: the current span. `null`: none, a trace begins. */
  parent?: Traceparent | null | undefined;
  /** Spans that caused this one, too. */
  links?: readonly Traceparent[];
};

export interface Span {
  readonly traceparent: Traceparent;
  set(attributes: Attributes): void;
  /** Marks it as failed, with the code of a fault as `error.type`. */
  fail(error: unknown): void;
  end(): void;
}

export interface Tracer {
  start(name: string, options?: SpanOptions): Span;
  /** Runs work with the span as the current one, also for all that the work awaits. */
  within<T>(span: Span, work: () => T): T;
  /** The span within which this code runs, until it ends. */
  readonly current: Span | undefined;
}

/** Undefined while traces are off. */
export let tracer: Tracer | undefined;

/** To be called before the services start. */
export function setTracer(value: Tracer | undefined): void {
  tracer = value;
}
