import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { transferProgressed } from '#proto/sync/transfers.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { type Scraped, scrape } from '../support/metrics.ts';
import { type FaultProxy, startProxy } from '../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../support/registry/cloud.ts';
import { type PushedImage, pushBlob, pushImage, pushManifest } from '../support/registry/image.ts';
import { slowedRate, until } from '../support/until.ts';

/** Each metric of a layer below a cloud changes when what it counts happens. */

const MIB = 1024 * 1024;
const stack = new AsyncDisposableStack();
let cloud: Cloud;
let link: FaultProxy;
let layer: TestLayer;

before(async () => {
  cloud = stack.use(await startCloud());
  link = stack.use(await startProxy(cloud.url));
  layer = stack.use(await testLayer({ name: 'plant', parent: link.url, mode: 'ReadWrite' }));
  await layer.sync();
});
after(() => stack.disposeAsync());

/** How much a sum has grown. */
const grown = (before: Scraped, after: Scraped, name: string, labels: Record<string, string> = {}): number =>
  (after.sum(name, labels) ?? 0) - (before.sum(name, labels) ?? 0);

const sizeOf = ({ layers, config }: PushedImage): number =>
  layers.reduce((sum, { size }) => sum + size, config.size);

test('a pull counts its pass, its transfers and their bytes', async () => {
  const before = await scrape(layer.url);
  assert.equal(before.sum('link_up'), 1);
  assert.equal(before.sum('link_state', { state: 'Online' }), 1);
  const image = await pushImage(cloud.host, 'app', '1', { layers: [MIB, 100] });
  await layer.sync();
  const after = await scrape(layer.url);
  assert.equal(grown(before, after, 'passes_total', { outcome: 'ok' }), 1);
  assert.equal(grown(before, after, 'pass_duration_seconds_count'), 1);
  assert.equal(grown(before, after, 'pass_actions_total', { action: 'taken' }), 1);
  assert.equal(
    grown(before, after, 'transfer_bytes_total', { direction: 'down', kind: 'new' }),
    sizeOf(image),
  );
  assert.equal(grown(before, after, 'transfer_bytes_total'), sizeOf(image));
  assert.equal(grown(before, after, 'transfers_total', { direction: 'down', outcome: 'finished' }), 3);
  assert.equal(grown(before, after, 'storage_tags'), 1);
  assert.equal(grown(before, after, 'storage_repositories'), 1);
  assert.ok(grown(before, after, 'storage_blobs') >= 3);
  assert.ok(grown(before, after, 'storage_bytes') >= sizeOf(image));
  assert.ok(grown(before, after, 'pass_last_success_timestamp_seconds') > 0);
  assert.equal(after.sum('sync_behind_tags'), 0);
});

test('requests of clients are counted by all gateways', async () => {
  const before = await scrape(layer.url);
  const headers = { accept: mediaTypes.ociManifest };
  await (await fetch(`${layer.url}/v2/app/manifests/1`, { headers })).arrayBuffer();
  await until(async () => {
    const after = await scrape(layer.url);
    const labels = { route: 'manifest', method: 'GET' };
    return (
      grown(before, after, 'http_requests_total', { ...labels, code: '200' }) === 1 &&
      grown(before, after, 'http_request_duration_seconds_count', labels) === 1 &&
      // The scrape itself.
      after.sum('http_requests_in_flight') === 1
    );
  }, 'the request is counted');
});

test('a push waits for the link, goes up, and is mounted in another repository', async () => {
  const image = await pushImage(layer.host, 'own', '1', { layers: [200_000] });
  const before = await scrape(layer.url);
  assert.equal(before.sum('outgoing_changes', { state: 'unsent' }), 1);
  await layer.sync();
  const pushed = await scrape(layer.url);
  assert.equal(pushed.sum('outgoing_changes'), 0);
  assert.equal(
    grown(before, pushed, 'transfer_bytes_total', { direction: 'up', kind: 'new' }),
    sizeOf(image),
  );
  assert.equal(grown(before, pushed, 'pass_actions_total', { action: 'sent' }), 1);
  const [blob] = image.layers;
  const from = `${layer.url}/v2/other/blobs/uploads/?mount=${blob?.digest}&from=own`;
  assert.equal((await fetch(from, { method: 'POST' })).status, 201);
  await pushBlob(layer.host, 'other', Buffer.from('{}'));
  await pushManifest(layer.host, 'other', '1', mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: EMPTY, size: 2 },
    layers: image.layers,
  });
  await layer.sync();
  const mounted = await scrape(layer.url);
  const labels = { direction: 'up', kind: 'mounted' };
  assert.equal(grown(pushed, mounted, 'transfer_bytes_total', labels), blob?.size);
  assert.equal(grown(pushed, mounted, 'transfers_total', { direction: 'up', outcome: 'mounted' }), 1);
  assert.equal(grown(pushed, mounted, 'transfer_bytes_total', { direction: 'up', kind: 'new' }), 2);
});
const EMPTY = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';

test('a change that the parent refuses is parked, and goes up once it is accepted', async () => {
  link.fault(({ method, path }) =>
    method === 'PUT' && /\/refused\/manifests\/1$/.test(path) ? { answer: { status: 403 } } : undefined,
  );
  await pushImage(layer.host, 'refused', '1', { layers: [100] });
  const before = await scrape(layer.url);
  await layer.sync();
  const parked = await scrape(layer.url);
  assert.equal(parked.sum('outgoing_changes', { state: 'parked' }), 1);
  assert.equal(grown(before, parked, 'passes_total', { outcome: 'parked' }), 1);
  assert.equal(grown(before, parked, 'pass_failures_total', { code: 'parent-refused' }), 1);
  assert.equal(parked.sum('link_state', { state: 'Unhealthy' }), 1);
  assert.equal(parked.sum('link_up'), 1);
  link.fault();
  await layer.sync({ full: true });
  assert.equal((await scrape(layer.url)).sum('outgoing_changes', { state: 'parked' }), 0);
});

test('a cut link is down, and its passes fail', async () => {
  const before = await scrape(layer.url);
  await link.down();
  await layer.sync();
  const cut = await scrape(layer.url);
  assert.equal(cut.sum('link_up'), 0);
  assert.equal(cut.sum('link_state', { state: 'Offline' }), 1);
  assert.equal(grown(before, cut, 'passes_total', { outcome: 'failed' }), 1);
  assert.equal(grown(before, cut, 'pass_failures_total', { code: 'parent-unreachable' }), 1);
  assert.ok(grown(before, cut, 'link_state_change_timestamp_seconds') > 0);
  assert.equal(grown(before, cut, 'pass_last_success_timestamp_seconds'), 0);
  await link.up();
  await layer.sync();
  assert.equal((await scrape(layer.url)).sum('link_up'), 1);
});

test('after the kill of a syncer, what it had transferred is reused, and its own counters are gone', async () => {
  const size = 8 * MIB;
  link.bandwidth = { total: slowedRate(2 * MIB) };
  await pushImage(cloud.host, 'large', '1', { layers: [size] });
  const pass = layer.sync();
  pass.catch(() => {});
  await layer.event(transferProgressed, ({ done }) => done > size / 4 && done < (3 * size) / 4);
  const running = await scrape(layer.url);
  assert.equal(running.sum('transfers_active', { direction: 'down' }), 1);
  const killed = running.samples.find(({ name }) => name === 'terrace_passes_total')?.labels
    .process as string;
  await layer.kill('syncer-1');
  link.bandwidth = {};
  assert.equal((await pass).ok, true);
  const after = await scrape(layer.url);
  const down = { direction: 'down' };
  const reused = after.sum('transfer_bytes_total', { ...down, kind: 'reused' }) ?? 0;
  assert.ok(reused >= size / 4 && reused < size, `${reused} bytes`);
  // Small blobs of the image may have arrived before.
  const fresh = after.sum('transfer_bytes_total', { ...down, kind: 'new' }) ?? 0;
  assert.ok(fresh >= size - reused && fresh < size - reused + MIB, `${fresh} bytes`);
  assert.equal(after.sum('passes_total', { process: killed }), undefined);
});

test('a scrape is answered while storage is not: what storage knows is absent', async () => {
  let before = await scrape(layer.url);
  await until(async () => {
    before = await scrape(layer.url);
    return before.sum('service_up') === 4;
  }, 'all services answer');
  const pid = layer.pid('storage');
  process.kill(pid, 'SIGSTOP');
  try {
    // The figures of the scrape before are shared for a second. A process that is busy is missing in some scrapes.
    let during = before;
    await until(async () => {
      during = await scrape(layer.url);
      return during.sum('service_up', { service: 'storage' }) === 0 && during.sum('service_up') === 3;
    }, 'storage alone is down');
    assert.equal(during.sum('storage_tags'), undefined);
    // Those of processes are known to the gateway from before.
    assert.equal(during.sum('http_requests_in_flight'), 1);
    assert.ok(during.sum('passes_total') !== undefined);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await until(async () => (await scrape(layer.url)).sum('service_up') === 4, 'storage is back');
});

test('a layer with accounts shows its metrics to a token that may operate it', async () => {
  assert.equal((await scrape(layer.url)).sum('accounts_open'), 1);
  const create = async (name: string, actions: string[]) => {
    const { password } = await layer.bus().call(createToken, { name, actions });
    return { Authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
  };
  const reader = await create('reader', ['repositories/*/content/read']);
  const operator = await create('operator', ['operate/read']);
  const statusWith = async (headers: Record<string, string>) => {
    const answer = await fetch(`${layer.url}/metrics`, { headers });
    await answer.arrayBuffer();
    return answer.status;
  };
  assert.equal(await statusWith({}), 401);
  assert.equal(await statusWith(reader), 403);
  await until(async () => (await scrape(layer.url, operator)).sum('tokens') === 2, 'both tokens are counted');
  assert.equal((await scrape(layer.url, operator)).sum('accounts_open'), 0);
});
