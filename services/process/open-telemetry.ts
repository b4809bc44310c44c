import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Span as ApiSpan,
  type Tracer as ApiTracer,
  type Context,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type Sampler,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Traceparent } from '#proto/contract/traceparent.ts';
import type { Attributes, Span, SpanOptions, Tracer } from '#proto/tracing/tracer.ts';
import { LostSpans } from './lost-spans.ts';

/**
 * The one file that knows OpenTelemetry. It is loaded where traces are on (traces.ts). The exporter reads
 * `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TIMEOUT`,
 * `OTEL_EXPORTER_OTLP_COMPRESSION`, `OTEL_EXPORTER_OTLP_CERTIFICATE` and their forms for traces; the resource reads
 * `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. The SDK leaves the variables of sampler and queue to its user.
 */

/** `service`: `layer` for a process with several. */
export type TracesOptions = { env: NodeJS.ProcessEnv; layer: string; service: string; log: Log };

const LIMITS = { attributeValueLengthLimit: 512, attributeCountLimit: 32, linkCountLimit: 64 };
const kinds = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

export function openTelemetry(
  exporter: 'otlp' | 'console',
  { env, layer, service, log }: TracesOptions,
): { tracer: Tracer; end: () => Promise<void> } {
  const lost = new LostSpans(log);
  const out = exporter === 'otlp' ? new OTLPTraceExporter() : new LogExporter(log);
  const queue = new SpanQueue(out, env, lost);
  const name = service === 'layer' ? 'terrace' : `terrace-${service}`;
  const own = resourceFromAttributes({ 'service.name': name, 'terrace.layer': layer });
  const provider = new TracerProvider({
    resource: defaultResource()
      .merge(own)
      .merge(detectResources({ detectors: [envDetector] })),
    sampler: samplerOf(env, log),
    spanLimits: LIMITS,
    spanProcessors: [queue],
  });
  return {
    tracer: new OpenTelemetryTracer(provider.getTracer('terrace')),
    end: async () => {
      await provider.shutdown().finally(() => queue.end());
    },
  };
}

/** By `OTEL_TRACES_SAMPLER`: `parentbased_always_on` if it is not set, or has a value that is not of these. */
export function samplerOf(env: NodeJS.ProcessEnv, log: Log): Sampler {
  const { OTEL_TRACES_SAMPLER: text = 'parentbased_always_on', OTEL_TRACES_SAMPLER_ARG: share } = env;
  const [, parent, kind] = /^(parentbased_)?(always_on|always_off|traceidratio)$/.exec(text) ?? [];
  if (!kind)
    log.warn(
      {},
      'OTEL_TRACES_SAMPLER is not supported, so all traces are sampled: set always_on, always_off or traceidratio, or the same after parentbased_',
    );
  const ratio = share === undefined || !(Number(share) >= 0 && Number(share) <= 1) ? 1 : Number(share);
  const root =
    kind === 'always_off'
      ? new AlwaysOffSampler()
      : kind === 'traceidratio'
        ? new TraceIdRatioBasedSampler(ratio)
        : new AlwaysOnSampler();
  return kind && !parent ? root : new ParentBasedSampler({ root });
}

/** The SDK's queue, which drops what exceeds it, with a count of all spans that are lost. */
class SpanQueue implements SpanProcessor {
  readonly #lost: LostSpans;
  readonly #max: number;
  readonly #batches: BatchSpanProcessor;
  #queued = 0;

  constructor(exporter: SpanExporter, env: NodeJS.ProcessEnv, lost: LostSpans) {
    const setting = (text: string | undefined, otherwise: number) =>
      Number.isInteger(Number(text)) && Number(text) > 0 ? Number(text) : otherwise;
    this.#lost = lost;
    this.#max = Math.min(setting(env.OTEL_BSP_MAX_QUEUE_SIZE, 2_048), 65_536);
    const batch = Math.min(setting(env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE, 512), this.#max);
    this.#batches = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => {
          this.#queued -= spans.length;
          exporter.export(spans, (result) => {
            if (result.code !== 0) lost.add(spans.length, result.error?.message ?? 'the export failed');
            done(result);
          });
        },
        shutdown: () => exporter.shutdown(),
      },
      maxQueueSize: this.#max,
      maxExportBatchSize: batch,
      scheduledDelayMillis: setting(env.OTEL_BSP_SCHEDULE_DELAY, 5_000),
    });
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return;
    if (this.#queued >= this.#max) {
      this.#lost.add(1, 'the queue is full');
      return;
    }
    this.#queued += 1;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }

  end(): void {
    this.#lost.end();
  }
}

/** `OTEL_TRACES_EXPORTER=console`: each span is a line of the log, which is all that a process writes to stdout. */
class LogExporter implements SpanExporter {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  export(spans: ReadableSpan[], done: (result: { code: number }) => void): void {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const [seconds, nanoseconds] = span.duration;
      const { name, attributes, status } = span;
      const about = { trace: traceId, span: spanId, parent: span.parentSpanContext?.spanId, name };
      const ms = seconds * 1_000 + Math.round(nanoseconds / 1_000_000);
      const links = span.links.map(({ context }) => context.traceId);
      this.#log.info({ ...about, ms, attributes, links, failed: status.message }, 'span');
    }
    done({ code: 0 });
  }

  async shutdown(): Promise<void> {}
}

/** A context that survives every `await`: that of the span within which code runs. */
class OpenTelemetryTracer implements Tracer {
  readonly #tracer: ApiTracer;
  readonly #spans = new AsyncLocalStorage<OpenTelemetrySpan>();

  constructor(tracer: ApiTracer) {
    this.#tracer = tracer;
  }

  start(name: string, { kind = 'internal', attributes = {}, parent, links = [] }: SpanOptions = {}): Span {
    const options = {
      kind: kinds[kind],
      attributes,
      links: links.map((link) => ({ context: contextOf(link) })),
    };
    return new OpenTelemetrySpan(this.#tracer.startSpan(name, options, this.#parent(parent)));
  }

  within<T>(span: Span, work: () => T): T {
    return this.#spans.run(span as OpenTelemetrySpan, work);
  }

  get current(): OpenTelemetrySpan | undefined {
    const span = this.#spans.getStore();
    // A timer or a loop that began within a span goes on after it, for others.
    return span?.isEnded ? undefined : span;
  }

  #parent(parent: Traceparent | null | undefined): Context {
    if (parent === null) return ROOT_CONTEXT;
    if (parent !== undefined) return trace.setSpanContext(ROOT_CONTEXT, contextOf(parent));
    const { current } = this;
    return current ? trace.setSpan(ROOT_CONTEXT, current.span) : ROOT_CONTEXT;
  }
}

function contextOf(traceparent: Traceparent): SpanContext {
  const [, traceId = '', spanId = '', flags = '00'] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

/** Faults that are answers, such as to the question whether content exists: the span has the code, and no failure. */
const ANSWERS = ['blob-unknown', 'manifest-unknown', 'name-unknown', 'upload-unknown'] as const;

class OpenTelemetrySpan implements Span {
  readonly span: ApiSpan;
  readonly traceparent: Traceparent;
  isEnded = false;

  constructor(span: ApiSpan) {
    this.span = span;
    const { traceId, spanId, traceFlags } = span.spanContext();
    this.traceparent = `00-${traceId}-${spanId}-${traceFlags & TraceFlags.SAMPLED ? '01' : '00'}`;
  }

  set(attributes: Attributes): void {
    for (const [name, value] of Object.entries(attributes))
      if (value !== undefined) this.span.setAttribute(name, value);
  }

  fail(error: unknown): void {
    // Without the message: it may quote another machine.
    const code = Fault.is(error) ? error.code : ((error as Error | undefined)?.name ?? 'Error');
    this.span.setAttribute('error.type', code);
    if (!Fault.is(error, ...ANSWERS)) this.span.setStatus({ code: SpanStatusCode.ERROR, message: code });
  }

  end(): void {
    this.isEnded = true;
    this.span.end();
  }
}
