import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Layer } from '#proto/api/layer.ts';
import { tagMoved } from '#proto/content/content-events.ts';
import { layerStatus } from '#proto/overview/layer-status.ts';
import { transferFinished } from '#proto/sync/transfers.ts';
import type { ShownDeltas } from '../../cli/text/sync/delta-text.ts';
import { runCommandHere } from '../support/command-line.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { scrape } from '../support/metrics.ts';
import { startProxy } from '../support/proxy/fault-proxy.ts';
import { startCloud } from '../support/registry/cloud.ts';
import { firstDifference, type PushedImage, pushImage } from '../support/registry/image.ts';
import { gzipLayer, rawLayer } from '../support/registry/versions.ts';
import { slowedRate, until } from '../support/until.ts';

/** docs/guides/shore-station.md: a Terrace next to a registry that sends no deltas, and a ship below it. */

const REPOSITORY = 'ship/app';

test('a ship gets an update as a delta while the shore gets it in full, and all figures say what that saved', async () => {
  await using cloud = await startCloud();
  const live = { schedule: '* * * * *', compact: 'hosted' as const };
  await using shore = await testLayer({ ...live, name: 'shore', parent: cloud.url });
  await using satellite = await startProxy(shore.url);
  const delta = { mode: 'always' as const };
  await using ship = await testLayer({ ...live, name: 'ship', parent: satellite.url, delta });
  const arrives = (layer: TestLayer, { digest }: PushedImage) =>
    layer.event(tagMoved, (moved) => moved.digest === digest);
  const publish = async (version: number) => {
    const layers = [gzipLayer(version, { seed: 'ship' })];
    const image = await pushImage(cloud.host, REPOSITORY, '1', { layers, config: { version } });
    await Promise.all([arrives(shore, image), arrives(ship, image), shore.sync()]);
    return image;
  };
  await publish(1);
  satellite.clearRequests();
  const { digest, layers } = await publish(2);
  assert.equal(await firstDifference(cloud.host, ship.host, [REPOSITORY]), undefined);
  const [layer] = layers;
  assert.ok(layer);
  assert.equal(satellite.bytesOf(new RegExp(`/${layer.digest}`)), 0);

  const explain = await runCommandHere('delta', 'explain', `${REPOSITORY}:1`, '--json', '--data', ship.data);
  const shown = JSON.parse(explain.stdout) as ShownDeltas;
  const [first] = shown.manifests[0]?.layers ?? [];
  const saved = first?.arrival?.saved ?? 0;
  assert.equal(shown.digest, digest);
  assert.equal(first?.arrival?.by, 'delta');
  assert.ok(saved > 0.9 * layer.size, `${saved} of ${layer.size}`);
  assert.deepEqual(first?.deltas[0]?.from[0]?.names, ['1 before']);
  assert.equal(first?.deltas[0]?.size, layer.size - saved);

  const savings = async () => (await layerStatus(ship.bus())).savings;
  await until(async () => (await savings())?.transfers === 1, 'the syncer reports the transfer');
  assert.equal((await savings())?.saved, saved);
  const api = (await (await fetch(`${ship.url}/api/v1/layer`)).json()) as Layer;
  assert.deepEqual([api.savings?.saved, api.deltas?.count], [saved, 1]);
  const ofShip = await scrape(ship.url);
  assert.equal(ofShip.sum('delta_saved_bytes_total', { direction: 'down', kind: 'delta' }), saved);
  assert.equal(ofShip.sum('deltas_total', { outcome: 'applied' }), 1);
  assert.equal(ofShip.sum('delta_cache_bytes'), layer.size - saved);
  const ofShore = await scrape(shore.url);
  assert.equal(ofShore.sum('deltas_total', { outcome: 'made' }), 1);
  assert.deepEqual(
    [ofShore.sum('delta_target_bytes_total'), ofShore.sum('delta_made_bytes_total')],
    [layer.size, layer.size - saved],
  );
});

test('in auto, content that a ship begins to get in full while the shore receives it continues as a delta', async () => {
  await using cloud = await startCloud();
  const live = { schedule: '* * * * *', compact: 'hosted' as const };
  await using shore = await testLayer({ ...live, name: 'shore', parent: cloud.url });
  await using satellite = await startProxy(shore.url);
  // All content comes while the shore receives it: the rate of the link is known from that.
  satellite.bandwidth = { total: slowedRate(400_000) };
  await using ship = await testLayer({ ...live, name: 'ship', parent: satellite.url });
  const size = 4_000_000;
  const publish = async (version: number) => {
    const layers = [rawLayer(version, size, { seed: 'auto' })];
    const image = await pushImage(cloud.host, REPOSITORY, '1', { layers, config: { version } });
    const arrives = ship.event(tagMoved, (moved) => moved.digest === image.digest);
    await Promise.all([arrives, shore.sync()]);
    return image.layers[0]?.digest ?? '';
  };
  await publish(1);
  satellite.clearRequests();
  const digest = await publish(2);
  assert.equal(await firstDifference(cloud.host, ship.host, [REPOSITORY]), undefined);
  const inFull = satellite.bytesOf(new RegExp(`/${digest}`));
  assert.ok(inFull < size / 2, `${inFull} of ${size} bytes crossed in full`);
  const finished = await ship.event(transferFinished, (data) => data.digest === digest && !!data.saved);
  assert.equal(finished.saved?.by, 'delta');
});
