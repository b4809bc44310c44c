import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manifestCommitted } from '#proto/content/content-events.ts';
import { passFinished } from '#proto/sync/passes.ts';
import { Collector } from '../support/collector.ts';
import { serveHttp } from '../support/http-server.ts';
import { testLayer } from '../support/layer.ts';
import { freePort } from '../support/ports.ts';
import { getManifest, pushImage } from '../support/registry/image.ts';
import { until } from '../support/until.ts';

const LOST = /spans of traces are lost/;
const NOT_IN_TIME = /did not stop in time/;

/** A short queue, sent at once, with a short time-out. */
const HASTE = {
  OTEL_BSP_SCHEDULE_DELAY: '10',
  OTEL_BSP_MAX_QUEUE_SIZE: '20',
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10',
  OTEL_EXPORTER_OTLP_TIMEOUT: '200',
};

test('a collector that is away or never answers costs a log line, and the layer serves and stops as ever', async () => {
  await using mute = await serveHttp(() => {});
  for (const url of [`http://127.0.0.1:${await freePort()}`, mute.url]) {
    await using layer = await testLayer({
      compact: true,
      env: { ...HASTE, OTEL_EXPORTER_OTLP_ENDPOINT: url },
    });
    for (let i = 0; i < 20; i += 1) await pushImage(layer.host, 'app/web', String(i), { layers: [100] });
    assert.ok(await getManifest(layer.host, 'app/web', '19'));
    await until(() => layer.lines.some((line) => LOST.test(line)), 'lost spans are logged');
    await layer.stop();
    const lost = layer.lines.filter((line) => LOST.test(line));
    // The first, the rest when the process ends, and at most one for each minute between.
    assert.ok(lost.length <= 3, lost.join('\n'));
    assert.ok(!layer.lines.some((line) => NOT_IN_TIME.test(line)));
  }
});

test('what is queued is sent when the processes stop', async () => {
  await using collector = await Collector.start();
  const env = { ...collector.env, OTEL_BSP_SCHEDULE_DELAY: '3600000', OTEL_SERVICE_NAME: 'plant' };
  await using layer = await testLayer({ env: { ...env, OTEL_RESOURCE_ATTRIBUTES: 'site=north' } });
  await pushImage(layer.host, 'app/web', '1', { layers: [100] });
  assert.equal(collector.spans.length, 0);
  await layer.stop();
  const put = collector.spans.find(({ name }) => name === 'PUT /v2/:name/manifests/:reference');
  const commit = collector.spans.find(
    (span) => span.name === 'storage.manifest.put' && span.kind === 'server',
  );
  assert.equal(put?.service, 'plant');
  assert.equal(commit?.traceId, put?.traceId);
  assert.match(collector.bodies.join(), /"site"/);
});

test('a push that waited for the link is part of its pass, with a link to the request of the client', async () => {
  await using collector = await Collector.start();
  await using parent = await testLayer({ name: 'above', compact: 'hosted' });
  await using layer = await testLayer({
    name: 'below',
    compact: true,
    mode: 'ReadWrite',
    parent: parent.url,
    repositories: ['*'],
    env: collector.env,
  });
  await layer.event(passFinished);
  const { digest } = await pushImage(layer.host, 'app/web', '1', { layers: [100] });
  const put = await collector.span('request', ({ name }) => name === 'PUT /v2/:name/manifests/:reference');
  assert.ok((await layer.sync()).ok);
  const push = await collector.span('push', ({ name }) => name === 'push');
  assert.notEqual(push.traceId, put.traceId);
  assert.deepEqual(
    push.links.map(({ traceId }) => traceId),
    [put.traceId],
  );
  assert.equal(push.attributes['terrace.digest'], digest);
  const pass = await collector.span('pass', ({ spanId }) => spanId === push.parent);
  assert.equal(pass.attributes['terrace.pass.sent'], 1);
});

test('where traces are off, nothing is added to what a layer sends and stores', async () => {
  await using layer = await testLayer({ compact: 'hosted' });
  await pushImage(layer.host, 'app/web', '1', { layers: [100] });
  await layer.event(manifestCommitted);
  assert.ok(layer.events.every((event) => !('traceparent' in event)));
});
