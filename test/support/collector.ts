import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { serveHttp } from './http-server.ts';
import { patienceSignal } from './until.ts';

type Value = { stringValue?: string; intValue?: number | string; boolValue?: boolean; doubleValue?: number };
type KeyValue = { key: string; value: Value };
type WireSpan = {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes?: KeyValue[];
  links?: { traceId: string; spanId: string }[];
  status?: { code?: number; message?: string };
};

/** A span as the collector received it. `kind` and `failed` by the numbers of OTLP. */
export type CollectedSpan = Pick<WireSpan, 'traceId' | 'spanId' | 'name'> & {
  parent: string | undefined;
  kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer' | undefined;
  layer: unknown;
  service: unknown;
  attributes: Record<string, unknown>;
  links: { traceId: string; spanId: string }[];
  failed: boolean;
};

const kinds = [undefined, 'internal', 'server', 'client', 'producer', 'consumer'] as const;

/** Receives spans as a collector does: OTLP over HTTP, as JSON. */
export class Collector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  /** Bodies of the requests, as they were received. */
  readonly bodies: string[] = [];
  readonly #stack = new AsyncDisposableStack();
  readonly #wake = new EventTarget();
  url = '';

  static async start(): Promise<Collector> {
    const collector = new Collector();
    const server = await serveHttp((request, response) => void collector.#receive(request, response));
    collector.#stack.use(server);
    collector.url = server.url;
    return collector;
  }

  /** Environment with which a layer sends its spans here, soon after they end. */
  get env(): NodeJS.ProcessEnv {
    return { OTEL_EXPORTER_OTLP_ENDPOINT: this.url, OTEL_BSP_SCHEDULE_DELAY: '50' };
  }

  /** The first span that satisfies the predicate, now or later. */
  async span(what: string, predicate: (span: CollectedSpan) => boolean): Promise<CollectedSpan> {
    const signal = patienceSignal();
    for (;;) {
      const found = this.spans.find(predicate);
      if (found) return found;
      try {
        await once(this.#wake, 'spans', { signal });
      } catch {
        throw new Error(`no span: ${what}; received:\n${this.#received()}`);
      }
    }
  }

  /** All spans of a trace, so far. */
  trace(traceId: string): CollectedSpan[] {
    return this.spans.filter((span) => span.traceId === traceId);
  }

  /** The span and those above it, up to the first one of the trace that was received. */
  ancestors(span: CollectedSpan): CollectedSpan[] {
    const above = this.spans.find(
      ({ traceId, spanId }) => traceId === span.traceId && spanId === span.parent,
    );
    return above ? [span, ...this.ancestors(above)] : [span];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const body = Buffer.concat(pieces).toString();
    this.bodies.push(body);
    for (const { resource, scopeSpans } of JSON.parse(body).resourceSpans) {
      const about = plain(resource.attributes);
      for (const { spans } of scopeSpans)
        this.spans.push(...spans.map((span: WireSpan) => collected(span, about)));
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    this.#wake.dispatchEvent(new Event('spans'));
  }

  #received(): string {
    return this.spans
      .map(({ layer, service, traceId, name, attributes }) =>
        [layer, service, traceId.slice(0, 8), name, JSON.stringify(attributes)].join(' '),
      )
      .join('\n');
  }
}

const plain = (attributes: KeyValue[] = []): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

function collected(span: WireSpan, resource: Record<string, unknown>): CollectedSpan {
  const { traceId, spanId, name, parentSpanId, kind, attributes, links = [], status } = span;
  return {
    ...{ traceId, spanId, name },
    parent: parentSpanId || undefined,
    kind: kinds[kind],
    layer: resource['terrace.layer'],
    service: resource['service.name'],
    attributes: plain(attributes),
    links,
    failed: status?.code === 2,
  };
}
