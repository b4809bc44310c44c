import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { putManifest } from '#proto/content/manifests.ts';
import { passFinished } from '#proto/sync/passes.ts';
import { Collector } from '../support/collector.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { getManifest, pushImage } from '../support/registry/image.ts';
import { until } from '../support/until.ts';

/** layer 5 ← layer 4 ← layer 3, all ReadWrite, with one collector. The processes of layer 3 are apart. */

const stack = new AsyncDisposableStack();
let collector: Collector;
const layers = {} as Record<3 | 4 | 5, TestLayer>;

before(async () => {
  collector = stack.use(await Collector.start());
  let parent: string | undefined;
  for (const level of [5, 4, 3] as const) {
    const layer = await testLayer({
      name: `layer-${level}`,
      mode: 'ReadWrite',
      schedule: '* * * * *',
      compact: level !== 3,
      env: collector.env,
      ...(parent && { parent, repositories: ['*'] }),
    });
    layers[level] = stack.use(layer);
    // The first pass compares everything: it would carry the push of a test, too.
    if (parent) await layer.event(passFinished);
    parent = layer.url;
  }
});
after(() => stack.disposeAsync());

test('a push at the lowest layer is one trace up to the top: requests, commits, pushes, transfers', async () => {
  const { digest } = await pushImage(layers[3].host, 'app/web', '1', { layers: [300_000] });
  await until(
    async () => (await getManifest(layers[5].host, 'app/web', '1')) !== undefined,
    'it is at the top',
  );
  const last = await collector.span('commit at the top', ({ layer, name, kind, traceId }) => {
    if (layer !== 'layer-5' || name !== putManifest.subject || kind !== 'server') return false;
    return collector.spans.some((span) => span.traceId === traceId && span.attributes['terrace.tag'] === '1');
  });
  const root = await collector.span('request of the client', (span) => {
    return span.layer === 'layer-3' && span.parent === undefined && span.traceId === last.traceId;
  });
  assert.equal(root.name, 'PUT /v2/:name/manifests/:reference');
  assert.equal(root.attributes['terrace.repository'], 'app/web');
  assert.equal(root.attributes['terrace.tag'], '1');
  assert.equal(root.attributes['http.response.status_code'], 201);

  // The pass ends last.
  for (const layer of ['layer-4', 'layer-3'])
    await collector.span(`pass of ${layer}`, (span) => {
      return span.layer === layer && span.name === 'pass' && span.traceId === last.traceId;
    });
  const path = collector
    .ancestors(last)
    .map(({ layer, service, name, kind }) => `${layer} ${service} ${name} ${kind}`);
  assert.deepEqual(
    path.toReversed().filter((step, at, all) => step !== all[at - 1]),
    [
      'layer-3 terrace-gateway PUT /v2/:name/manifests/:reference server',
      'layer-3 terrace-gateway storage.manifest.put client',
      'layer-3 terrace-storage storage.manifest.put server',
      'layer-3 terrace-syncer pass internal',
      'layer-3 terrace-syncer push internal',
      'layer-3 terrace-syncer PUT client',
      'layer-4 terrace PUT /v2/:name/manifests/:reference server',
      'layer-4 terrace storage.manifest.put client',
      'layer-4 terrace storage.manifest.put server',
      'layer-4 terrace pass internal',
      'layer-4 terrace push internal',
      'layer-4 terrace PUT client',
      'layer-5 terrace PUT /v2/:name/manifests/:reference server',
      'layer-5 terrace storage.manifest.put client',
      'layer-5 terrace storage.manifest.put server',
    ],
  );

  const trace = collector.trace(last.traceId);
  for (const layer of ['layer-4', 'layer-3']) {
    const transfer = trace.find((span) => span.layer === layer && span.name === 'transfer');
    assert.ok(transfer, `a transfer of ${layer}`);
    assert.equal(transfer.kind, 'consumer');
    assert.equal(transfer.attributes['terrace.direction'], 'up');
    assert.equal(collector.ancestors(transfer)[1]?.name, 'push');
    const sent = trace.filter((span) => span.parent === transfer.spanId && span.kind === 'client');
    assert.ok(sent.some(({ attributes }) => attributes['server.address'] === '127.0.0.1'));
    const push = trace.find((span) => span.layer === layer && span.name === 'push');
    assert.equal(push?.attributes['terrace.digest'], digest);
  }
  assert.deepEqual(
    trace.filter(({ failed }) => failed),
    [],
  );
});

test('the trace of a client goes on, from its request to what is sent; a header of another form is ignored', async () => {
  const { layers: blobs } = await pushImage(layers[4].host, 'app/pulled', '1', { layers: [100_000] });
  const traceId = 'c0ffee00c0ffee00c0ffee00c0ffee00';
  const parent = 'badc0ffee0ddf00d';
  const get = async (path: string, traceparent: string) => {
    const response = await fetch(`${layers[4].url}/v2/app/pulled/${path}`, { headers: { traceparent } });
    assert.equal(response.status, 200);
    await response.arrayBuffer();
  };
  await get(`blobs/${blobs[0]?.digest}?secret=hunter2`, `00-${traceId}-${parent}-01`);
  const server = await collector.span(
    'request',
    (span) => span.traceId === traceId && span.kind === 'server' && span.name.startsWith('GET'),
  );
  assert.equal(server.parent, parent);
  assert.equal(server.attributes['url.path'], `/v2/app/pulled/blobs/${blobs[0]?.digest}`);
  const sent = await collector.span('send', (span) => span.traceId === traceId && span.name === 'send');
  assert.equal(sent.parent, server.spanId);
  const located = await collector.span(
    'answer of storage',
    (span) => span.traceId === traceId && span.name === 'storage.blob.locate' && span.kind === 'server',
  );
  assert.equal(collector.ancestors(located).at(-1)?.spanId, server.spanId);

  const bad = `00-${'0'.repeat(32)}-${parent}-01`;
  await get('manifests/1?of=bad', bad);
  const fresh = await collector.span('request of its own', ({ name, attributes, layer, parent: of }) => {
    return (
      layer === 'layer-4' &&
      name === 'GET /v2/:name/manifests/:reference' &&
      attributes['terrace.repository'] === 'app/pulled' &&
      // The layer below pulls it, too, in traces of its own.
      (of === undefined || of === parent)
    );
  });
  assert.equal(fresh.parent, undefined);
  assert.doesNotMatch(collector.bodies.join('\n'), /hunter2|of=bad/);
});

test('a pass that pulls is a trace with its transfers, which goes on at the parent', async () => {
  const { url: parent, host } = layers[5];
  const options = { name: 'layer-p', parent, repositories: ['app/from-above'], env: collector.env };
  await using layer = await testLayer({ ...options, compact: true });
  await layer.event(passFinished);
  await pushImage(host, 'app/from-above', '1', { layers: [50_000] });
  assert.ok((await layer.sync()).ok);
  const pass = await collector.span('pass', ({ layer, name, attributes }) => {
    return layer === 'layer-p' && name === 'pass' && attributes['terrace.pass.cause'] === 'request';
  });
  assert.equal(pass.parent, undefined);
  assert.equal(pass.attributes['terrace.pass.taken'], 1);
  const inPass = collector.trace(pass.traceId);
  const transfers = inPass.filter(({ name }) => name === 'transfer');
  assert.ok(transfers.length > 0);
  for (const transfer of transfers) {
    const [own, ...above] = collector.ancestors(transfer).map(({ name }) => name);
    assert.deepEqual([own, above.at(-1)], ['transfer', 'pass']);
  }
  const above = inPass.filter(
    ({ layer, name }) => layer === 'layer-5' && name === 'GET /v2/:name/blobs/:digest',
  );
  assert.ok(above.length > 0);
  for (const request of above)
    assert.ok(collector.ancestors(request).some(({ name }) => name === 'transfer'));
});
