import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { manifestCommitted, tagMoved } from '#proto/content/content-events.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import { getManifest, pushImage, tagsOf } from '../../support/registry/image.ts';

let old: Cloud;
let other: Cloud;
let data: string;
before(async () => {
  [old, other] = await Promise.all([startCloud(), startCloud()]);
  data = await mkdtemp(join(tmpdir(), 'terrace-parent-change-'));
});
after(async () => {
  await old?.[Symbol.asyncDispose]();
  await other?.[Symbol.asyncDispose]();
  await rm(data, { recursive: true, force: true });
});

test('a ReadWrite layer with another parent keeps content that this parent lacks, and pushes it', async () => {
  const image = (seed: string) => ({ layers: [{ seed, size: 2_000 }] });
  {
    await using layer = await testLayer({ compact: 'hosted', data, parent: old.url, mode: 'ReadWrite' });
    await pushImage(layer.url, 'app', 'v1', image('one'));
    await pushImage(layer.url, 'app', undefined, image('untagged'));
    assert.deepEqual((await layer.sync()).failures, []);
    assert.deepEqual(await tagsOf(old.url, 'app'), ['v1']);
  }
  await pushImage(other.url, 'app', 'v2', image('two'));
  await using layer = await testLayer({ compact: 'hosted', data, parent: other.url, mode: 'ReadWrite' });
  const { failures, dropped } = await layer.sync();
  assert.deepEqual([failures, dropped], [[], 0]);
  assert.deepEqual(await tagsOf(layer.url, 'app'), ['v1', 'v2']);
  assert.deepEqual(await tagsOf(other.url, 'app'), ['v1', 'v2']);
  const untagged = await pushImage(old.url, 'app', undefined, image('untagged'));
  assert.equal((await getManifest(other.url, 'app', untagged.digest))?.digest, untagged.digest);
});

test('content without a selection stays in this layer with a warning, and is pushed once selected', async () => {
  const ownData = await mkdtemp(join(tmpdir(), 'terrace-kept-here-'));
  const options = { compact: 'hosted', data: ownData, parent: other.url, mode: 'ReadWrite' } as const;
  const image = { layers: [{ seed: 'kept', size: 2_000 }] };
  const outgoing = async (layer: TestLayer) => {
    const { tags = 0, ...manifests } = (await layer.bus().call(storageStatus, {})).outgoing;
    assert.equal(tags, 0);
    return manifests;
  };
  try {
    {
      await using layer = await testLayer({ ...options, repositories: ['mine/*', 'none/*'] });
      await pushImage(layer.url, 'mine/app', 'v1', image);
      const { digest, bytes } = await pushImage(layer.url, 'spare', 'v1', image);
      const again = await fetch(`${layer.url}/v2/spare/manifests/${digest}`, {
        method: 'PUT',
        headers: { 'content-type': mediaTypes.ociManifest },
        body: bytes as Buffer<ArrayBuffer>,
      });
      assert.match(
        again.headers.get('warning') ?? '',
        /^299 - "stored in this layer only: no selection covers spare: add it to repositories/,
      );
      assert.deepEqual((await layer.sync()).failures, []);
      const kept = { kept: 1, keptIn: ['spare'] };
      assert.deepEqual(await outgoing(layer), { unsent: 0, withdrawn: 0, parked: 0, ...kept });
      for (const [name, unselected] of Object.entries({ spare: true, 'mine/app': undefined })) {
        const isOf = ({ repository }: { repository: string }) => repository === name;
        assert.equal((await layer.event(manifestCommitted, isOf)).unselected, unselected);
        assert.equal((await layer.event(tagMoved, isOf)).unselected, unselected);
      }
      assert.deepEqual(await tagsOf(other.url, 'spare'), []);
      assert.deepEqual((await layer.bus().get(linkStatus, LINK_KEY))?.value.unmatched, ['none/*']);
    }
    await using layer = await testLayer({ ...options, repositories: ['mine/*', 'spare'] });
    assert.deepEqual((await layer.sync()).failures, []);
    assert.deepEqual(await tagsOf(other.url, 'spare'), ['v1']);
    assert.deepEqual(await outgoing(layer), { unsent: 0, withdrawn: 0, parked: 0 });
    assert.equal((await layer.bus().get(linkStatus, LINK_KEY))?.value.unmatched, undefined);
  } finally {
    await rm(ownData, { recursive: true, force: true });
  }
});
