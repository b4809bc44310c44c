import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { traced, tracedWithin, traceField } from '#proto/tracing/traced.ts';
import { setTracer, tracer } from '#proto/tracing/tracer.ts';
import { LostSpans } from '../../services/process/lost-spans.ts';
import { samplerOf } from '../../services/process/open-telemetry.ts';
import { exporterOf, startTraces } from '../../services/process/traces.ts';
import { testLog, testTracer } from '../support/spans.ts';

const exporters: [NodeJS.ProcessEnv, ReturnType<typeof exporterOf>][] = [
  [{}, undefined],
  [{ OTEL_SERVICE_NAME: 'terrace', OTEL_TRACES_SAMPLER: 'always_on' }, undefined],
  [{ OTEL_TRACES_EXPORTER: 'otlp' }, 'otlp'],
  [{ OTEL_TRACES_EXPORTER: 'console' }, 'console'],
  [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }, undefined],
  [{ OTEL_TRACES_EXPORTER: 'zipkin', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }, 'otlp'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, undefined],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }, 'otlp'],
  [{ OTEL_TRACES_EXPORTER: 'otlp', OTEL_SDK_DISABLED: 'true' }, undefined],
  [{ OTEL_TRACES_EXPORTER: 'otlp', OTEL_SDK_DISABLED: 'false' }, 'otlp'],
];

test('the environment decides whether there are traces, and where they go', () => {
  for (const [env, expected] of exporters) assert.equal(exporterOf(env), expected, JSON.stringify(env));
});

test('an exporter that is not supported is named, and there are no traces', async () => {
  const log = testLog();
  const env = { OTEL_TRACES_EXPORTER: 'zipkin' };
  assert.equal(await startTraces({ env, layer: 'plant', service: 'gateway', log }), undefined);
  assert.equal(tracer, undefined);
  assert.match(log.lines.map(({ text }) => text).join(), /OTEL_TRACES_EXPORTER is not supported.*set otlp/);
});

test('a protocol that is not supported is named, and the traces are on', async (t) => {
  const log = testLog();
  t.after(() => setTracer(undefined));
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
  const traces = await startTraces({ env, layer: 'plant', service: 'gateway', log });
  assert.ok(tracer);
  assert.match(log.lines.map(({ text }) => text).join(), /names grpc.*port of the collector for HTTP/);
  assert.equal(await traces?.end(10), true);
});

test('the sampler is that of the environment', () => {
  const log = testLog();
  const text = (env: NodeJS.ProcessEnv) => String(samplerOf(env, log));
  assert.match(text({}), /^ParentBased\{root=AlwaysOnSampler/);
  assert.equal(text({ OTEL_TRACES_SAMPLER: 'always_off' }), 'AlwaysOffSampler');
  assert.match(
    text({ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' }),
    /^ParentBased\{root=TraceIdRatioBased\{0\.25\}/,
  );
  assert.equal(
    text({ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: 'half' }),
    'TraceIdRatioBased{1}',
  );
  assert.equal(log.lines.length, 0);
  assert.match(text({ OTEL_TRACES_SAMPLER: 'jaeger_remote' }), /^ParentBased\{root=AlwaysOnSampler/);
  assert.match(log.lines[0]?.text ?? '', /OTEL_TRACES_SAMPLER is not supported/);
});

test('while traces are off, work runs as it is, and messages have no field more', async () => {
  assert.equal(await traced('work', {}, async (span) => span), undefined);
  assert.deepEqual(traceField(), {});
});

test('what runs within a span belongs to it, over awaits, until it ends', async (t) => {
  const { ended } = testTracer(t);
  let late: () => void = () => {};
  const later = new Promise<void>((resolve) => {
    late = resolve;
  });
  let afterwards: Promise<object> | undefined;
  await traced('outer', {}, async () => {
    afterwards = later.then(() => traceField());
    await new Promise(setImmediate);
    await traced('inner', { kind: 'client' }, async () => {
      assert.match(traceField().traceparent ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    });
  });
  late();
  assert.deepEqual(await afterwards, {});
  const [inner, outer] = await ended();
  assert.deepEqual([inner?.name, outer?.name], ['inner', 'outer']);
  assert.equal(inner?.parent, outer?.span);
  assert.equal(inner?.trace, outer?.trace);
});

test('outside of a trace, what only continues one begins none', async (t) => {
  const { ended } = testTracer(t);
  await tracedWithin('request', {}, async () => assert.deepEqual(traceField(), {}));
  const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  await tracedWithin('request', { parent }, async () => {});
  const spans = await ended();
  assert.deepEqual(
    spans.map(({ trace, parent: above }) => [trace, above]),
    [['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']],
  );
});

test('a trace that its sender does not sample is not recorded here, and goes on so', async (t) => {
  const { ended } = testTracer(t);
  const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00';
  await traced('request', { parent }, async () => {
    assert.match(traceField().traceparent ?? '', /^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-00$/);
  });
  assert.deepEqual(await ended(), []);
});

test('a fault has its code in the span, and not its message; that content does not exist is no failure', async (t) => {
  const { ended } = testTracer(t);
  const failing = (fault: Fault) => traced('work', {}, () => Promise.reject(fault)).catch(() => {});
  await failing(new Fault('parent-refused', 'https://parent?token=secret answered 403'));
  await failing(new Fault('blob-unknown', 'no such blob'));
  const [refused, unknown] = await ended();
  assert.deepEqual(refused?.attributes, { 'error.type': 'parent-refused' });
  assert.equal(refused?.failed, 'parent-refused');
  assert.deepEqual(unknown?.attributes, { 'error.type': 'blob-unknown' });
  assert.equal(unknown?.failed, undefined);
});

test('the queue of spans is bounded, and what is lost is counted', async (t) => {
  const { tracer: made, log, ended } = testTracer(t, { OTEL_BSP_MAX_QUEUE_SIZE: '3' });
  for (let i = 0; i < 10; i += 1) made.start(`span ${i}`).end();
  assert.ok((await ended()).length < 10);
  const lost = log.lines.filter(({ text }) => text.startsWith('spans of traces are lost'));
  const count = lost.reduce((sum, { spans }) => sum + Number(spans), 0);
  assert.equal(count + log.lines.filter(({ text }) => text === 'span').length, 10);
  assert.ok(lost.length <= 2);
});

test('of lost spans the first are logged, then one line for all of an interval', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const log = testLog();
  const lost = new LostSpans(log, 1_000);
  lost.add(2, 'connect ECONNREFUSED');
  lost.add(3, 'connect ECONNREFUSED');
  lost.add(4, 'the queue is full');
  assert.deepEqual(
    log.lines.map(({ spans }) => spans),
    [2],
  );
  t.mock.timers.tick(1_000);
  t.mock.timers.tick(1_000);
  assert.deepEqual(
    log.lines.map(({ spans, reason }) => [spans, reason]),
    [
      [2, 'connect ECONNREFUSED'],
      [7, 'the queue is full'],
    ],
  );
  lost.add(1, 'the queue is full');
  assert.equal(log.lines.length, 3);
  lost.end();
  assert.equal(log.lines.length, 3);
});
