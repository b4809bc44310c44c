import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Cloud, startCloud } from '../support/cloud.ts';
import { getManifest, pushImage, tagsOf } from '../support/image.ts';
import { testLayer } from '../support/layer.ts';

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

test('a ReadWrite layer under another parent loses nothing that this one does not have, and sends it', async () => {
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
