import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { activateChild } from '#proto/accounts/children.ts';
import type { TagOrigin } from '#proto/content/images.ts';
import { deleteTag, putTag } from '#proto/content/manifests.ts';
import { syncRepositories, syncTags } from '#proto/sync/behind.ts';
import { recordParent } from '#proto/sync/outgoing.ts';
import { keys } from '../../../services/storage/metadata/keys.ts';
import { Metadata, put } from '../../../services/storage/metadata/metadata.ts';
import { Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** Each tag says where its target came from, and since when, across restarts and versions. */

const buses = await sharedBuses();

const repository = 'line/app';

async function originOf(rig: Rig, tag: string): Promise<TagOrigin | undefined> {
  const { tags } = await rig.gateway.call(syncTags, { repository, tag, limit: 1 });
  return tags[0]?.origin;
}

test('a tag names the parent, the account or the layer below that moved it, and since when', async () => {
  await using rig = await Rig.open(buses);
  await rig.syncer.call(recordParent, { parent: 'registry.example.org', forget: true });
  const instance = '0b8a1a39-3ed5-4a5d-9bb4-7d7ae3ed3f3a';
  await rig.gateway.call(activateChild, { name: 'line-1', instance });
  const first = await rig.gateway.pushImage(repository, 'first');
  const second = await rig.gateway.pushImage(repository, 'second');
  const since = rig.now;
  const move = (tag: string, behalf?: string) =>
    rig.gateway.call(putTag, { repository, tag, digest: first }, behalf ? { behalf } : {});
  await rig.syncer.call(putTag, { repository, tag: 'pulled', digest: first, base: true });
  await move('ci', 'ci');
  await move('below', 'line-1');
  await move('open');
  rig.now += 60_000;
  await rig.restart();
  const expected: Record<string, TagOrigin> = {
    pulled: { from: 'parent', name: 'registry.example.org', since },
    ci: { from: 'client', name: 'ci', since },
    below: { from: 'child', name: 'line-1', since },
    open: { from: 'client', since },
  };
  for (const [tag, origin] of Object.entries(expected)) assert.deepEqual(await originOf(rig, tag), origin);

  // The same target again is no move; another one is.
  await move('ci', 'other');
  assert.deepEqual(await originOf(rig, 'ci'), expected.ci);
  await rig.gateway.call(putTag, { repository, tag: 'ci', digest: second }, { behalf: 'other' });
  assert.deepEqual(await originOf(rig, 'ci'), { from: 'client', name: 'other', since: rig.now });
  const { repositories } = await rig.gateway.call(syncRepositories, { repository, limit: 1, contents: true });
  assert.equal(repositories[0]?.changed, rig.now);

  // A deleted tag leaves no record behind.
  await rig.gateway.call(deleteTag, { repository, tag: 'ci' });
  assert.equal(await originOf(rig, 'ci'), undefined);
  await rig.stop();
  {
    await using metadata = await Metadata.open(join(rig.data, 'metadata'));
    assert.equal(await metadata.tagOrigin(repository, 'ci'), undefined);
  }
  await rig.start();
});

test('of a tag that an earlier version moved, only that is known', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'old', { tag: 'old' });
  const other = await rig.gateway.pushImage(repository, 'moved', { tag: 'moved' });
  await rig.stop();
  {
    await using metadata = await Metadata.open(join(rig.data, 'metadata'));
    // As a version without these records leaves them: one tag is older than them, one was moved later.
    await metadata.write([
      { type: 'del', key: keys.tagOrigin(repository, 'old') },
      { type: 'del', key: keys.originsSince },
      ...put.tag(repository, 'moved', digest).slice(0, 1),
    ]);
  }
  rig.now += 60_000;
  await rig.start();
  assert.deepEqual(await originOf(rig, 'old'), { from: 'unknown', before: rig.now });
  assert.notEqual(other, digest);
  assert.deepEqual(await originOf(rig, 'moved'), { from: 'unknown' });
  rig.now += 60_000;
  await rig.restart();
  assert.deepEqual(await originOf(rig, 'old'), { from: 'unknown', before: rig.now - 60_000 });
});
