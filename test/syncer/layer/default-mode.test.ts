import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { storageStatus } from '#proto/status/storage-status.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import { pushImage, tagsOf } from '../../support/registry/image.ts';
import { until } from '../../support/until.ts';

test('a layer that was ReadOnly and says no mode any more sends what clients push from then on, and no more', async () => {
  await using cloud = await startCloud();
  const data = await mkdtemp(join(tmpdir(), 'terrace-default-mode-'));
  const options = { compact: 'hosted' as const, data, parent: cloud.url, repositories: ['app'] };
  const image = (seed: string) => ({ layers: [{ seed, size: 2_000 }] });
  try {
    await pushImage(cloud.url, 'app', 'v1', image('one'));
    {
      await using layer = await testLayer({ ...options, mode: 'ReadOnly' });
      assert.deepEqual((await layer.sync()).failures, []);
      await assert.rejects(pushImage(layer.url, 'app', 'v2', image('two')), /403|405/);
    }
    await using layer = await testLayer(options);
    assert.deepEqual((await layer.bus().call(storageStatus, {})).outgoing.unsent, 0);
    await pushImage(layer.url, 'app', 'v2', image('two'));
    const { failures, sent } = await layer.sync();
    assert.deepEqual([failures, sent], [[], 1]);
    assert.deepEqual(await tagsOf(cloud.url, 'app'), ['v1', 'v2']);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});

test('what a ReadWrite layer has not pushed is not pending while it is ReadOnly', async () => {
  await using cloud = await startCloud();
  const data = await mkdtemp(join(tmpdir(), 'terrace-default-mode-'));
  const options = { compact: 'hosted' as const, data };
  const unsent = async (layer: TestLayer) => (await layer.bus().call(storageStatus, {})).outgoing.unsent;
  try {
    {
      await using layer = await testLayer(options);
      await pushImage(layer.url, 'app', 'v1', { layers: [2_000] });
      assert.equal(await unsent(layer), 0);
    }
    {
      await using layer = await testLayer({ ...options, parent: cloud.url, mode: 'ReadOnly' });
      assert.equal(await unsent(layer), 0);
    }
    await using layer = await testLayer({ ...options, parent: cloud.url, mode: 'ReadWrite' });
    assert.deepEqual((await layer.sync()).failures, []);
    await until(async () => (await unsent(layer)) === 0, 'everything is pushed');
    assert.deepEqual(await tagsOf(cloud.url, 'app'), ['v1']);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});
