import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { linkChanged } from '#proto/status/status.ts';
import type { Acr } from '../support/azure/acr.ts';
import { Azure } from '../support/azure/azure.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { firstDifference, getManifest, pushImage, tagsOf } from '../support/registry/image.ts';
import { until } from '../support/until.ts';

/** Azure Container Registry → top → bottom, with stand-ins for the registry and for Microsoft Entra. */

const stack = new AsyncDisposableStack();
let azure: Azure;
let acr: Acr;
let top: TestLayer;
let bottom: TestLayer;

const push = (repository: string, tag: string, size = 5_000) =>
  pushImage(acr.backendUrl, repository, tag, { layers: [{ seed: `${repository}${tag}`, size }] });

before(async () => {
  azure = stack.use(await Azure.start());
  acr = azure.acr;
  azure.entra.life = 60;
  await push('line/app', 'v1', 600_000);
  top = stack.use(
    await testLayer({
      name: 'top',
      mode: 'ReadWrite',
      parent: azure.parent('managed-identity'),
      repositories: ['line/*'],
      compact: true,
      env: azure.entra.env,
    }),
  );
  bottom = stack.use(
    await testLayer({ name: 'bottom', mode: 'ReadWrite', parent: top.url, compact: 'hosted' }),
  );
});
after(() => stack.disposeAsync());

async function pass(...layers: TestLayer[]): Promise<void> {
  for (const layer of layers) assert.deepEqual((await layer.sync()).failures, []);
}

test('an image of the registry reaches the bottom, and an image pushed at the bottom reaches the registry', async () => {
  await pass(top, bottom);
  assert.equal(await firstDifference(acr.backendUrl, bottom.host, ['line/app']), undefined);
  assert.ok(acr.dataRequests.length > 0);
  assert.ok(acr.dataRequests.every(({ headers }) => headers.authorization === undefined));
  const image = await pushImage(bottom.host, 'line/own', 'v1', { layers: [300_000] });
  await pass(bottom, top);
  assert.equal((await getManifest(acr.backendUrl, 'line/own', 'v1'))?.digest, image.digest);
});

// Slow: the coordinator after a kill waits until the previous lease expires.
test('a kill -9 during a pass loses no change', { skip: !process.env.TERRACE_FULL }, async () => {
  await push('line/killed', 'v1');
  await pass(top);
  await push('line/killed', 'v2', 3_000_000);
  await acr.untag('line/killed', 'v1');
  const before = top.events.length;
  top.sync().catch(() => {});
  await until(() => top.events.slice(before).some(({ type }) => type === 'terrace.transfer.started'));
  await top.kill('layer');
  await pass(top);
  assert.deepEqual(await tagsOf(top.host, 'line/killed'), ['v2']);
});

test('expired tokens are renewed; while Entra is down the link is Offline, and Online again afterwards', async () => {
  acr.advance(4 * 3_600_000);
  acr.clearRequests();
  await push('line/later', 'v1');
  await pass(top);
  assert.ok(await getManifest(top.host, 'line/later', 'v1'));
  assert.equal(acr.requestLines().filter((request) => request === 'POST /oauth2/exchange').length, 1);

  await azure.entra.down();
  acr.advance(4 * 3_600_000);
  const { failed, failures } = await top.sync();
  assert.ok(failed > 0);
  assert.match(failures[0]?.reason ?? '', /Entra/);
  await top.event(linkChanged, ({ state }) => state === 'Offline');
  await azure.entra.up();
  await push('line/later', 'v2');
  await pass(top);
  assert.ok(await getManifest(top.host, 'line/later', 'v2'));
  await top.event(linkChanged, ({ from, state }) => from === 'Syncing' && state === 'Online');
});

test('the status of the link gives the reason for which Entra refuses an identity', async () => {
  const description = 'AADSTS700016: Application was not found in the directory. Trace ID: 1';
  azure.entra.failure = {
    status: 400,
    body: { error: 'unauthorized_client', error_description: description },
  };
  acr.advance(4 * 3_600_000);
  assert.ok((await top.sync()).failed > 0);
  const { detail = '' } = await top.event(linkChanged, ({ state }) => state === 'Unhealthy');
  assert.match(detail, /AADSTS700016: Application was not found in the directory/);
  assert.doesNotMatch(detail, /Trace ID/);
});
