import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  deleteTag,
  getManifest,
  listBases,
  listRepositories,
  listTags,
  putTag,
  setBases,
} from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { bytesOf, digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const tagEvents = (rig: Rig) => rig.events.filter(([type]) => type.startsWith('tag.'));

test('a tag moves only from its expected digest, and the event names the previous one', async () => {
  await using rig = await Rig.open(buses);
  const one = await rig.gateway.pushImage(repository, 'one', { tag: 'v', expect: null });
  const two = await rig.gateway.pushImage(repository, 'two');
  const move = (digest: string, expect: string | null) =>
    rig.syncer.call(putTag, { repository, tag: 'v', digest, expect });
  await assert.rejects(move(two, null), fault('conflict', { found: one }));
  await assert.rejects(move(two, two), fault('conflict', { found: one }));
  await assert.rejects(
    rig.syncer.call(putTag, { repository, tag: 'new', digest: two, expect: one }),
    fault('conflict', { found: null }),
  );
  await move(two, one);
  await move(two, two);
  const mediaType = mediaTypes.ociManifest;
  assert.deepEqual(tagEvents(rig), [
    ['tag.moved', { repository, tag: 'v', digest: one, mediaType }],
    ['tag.moved', { repository, tag: 'v', digest: two, mediaType, from: one }],
  ]);
});

test("a manifest whose tag can't move is not put", async () => {
  await using rig = await Rig.open(buses);
  const one = await rig.gateway.pushImage(repository, 'one', { tag: 'v' });
  await assert.rejects(
    rig.gateway.pushImage(repository, 'two', { tag: 'v', expect: null }),
    fault('conflict', { found: one }),
  );
  const { tags } = await rig.gateway.call(listTags, { repository, limit: 10 });
  assert.deepEqual(tags, [{ tag: 'v', digest: one }]);
  assert.equal(rig.events.filter(([type]) => type === 'manifest.committed').length, 1);
});

test('of concurrent moves that expect the same digest, one succeeds', async () => {
  await using rig = await Rig.open(buses);
  const first = await rig.gateway.pushImage(repository, 'first', { tag: 'v' });
  const digests = await Promise.all(
    Array.from({ length: 10 }, (_, i) => rig.gateway.pushImage(repository, `image ${i}`)),
  );
  const moves = await Promise.allSettled(
    digests.map((digest) => rig.syncer.call(putTag, { repository, tag: 'v', digest, expect: first })),
  );
  assert.equal(moves.filter(({ status }) => status === 'fulfilled').length, 1);
  const winner = digests[moves.findIndex(({ status }) => status === 'fulfilled')];
  for (const move of moves) {
    if (move.status === 'rejected') assert.ok(fault('conflict', { found: winner })(move.reason));
  }
  assert.equal((await rig.gateway.call(getManifest, { repository, reference: 'v' })).digest, winner);
});

test('a tag points only to a manifest that its repository has', async () => {
  await using rig = await Rig.open(buses);
  const blob = await rig.gateway.push(repository, bytesOf('no manifest'));
  const put = (name: string, digest: string) =>
    rig.gateway.call(putTag, { repository: name, tag: 'v', digest });
  await assert.rejects(put(repository, blob), fault('manifest-unknown'));
  const other = await rig.gateway.pushImage('lib/other', 'image');
  await assert.rejects(put(repository, other), fault('manifest-unknown'));
  await assert.rejects(put('lib/none', other), fault('name-unknown'));
});

test('deleting a tag keeps its manifest, and deletes the base only on request', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'one', { tag: 'a', base: true });
  await rig.gateway.call(putTag, { repository, tag: 'b', digest, base: true });
  const bases = async () => (await rig.syncer.call(listBases, { repository, limit: 10 })).tags;
  assert.deepEqual(await bases(), [
    { tag: 'a', digest },
    { tag: 'b', digest },
  ]);
  await rig.gateway.call(deleteTag, { repository, tag: 'a' });
  assert.equal((await bases()).length, 2);
  await rig.syncer.call(deleteTag, { repository, tag: 'b', base: true, expect: digest });
  assert.deepEqual(await bases(), [{ tag: 'a', digest }]);
  await rig.gateway.call(getManifest, { repository, reference: digest });
  await assert.rejects(rig.gateway.call(deleteTag, { repository, tag: 'a' }), fault('manifest-unknown'));
  await assert.rejects(
    rig.gateway.call(deleteTag, { repository, tag: 'a', expect: digest }),
    fault('conflict', { found: null }),
  );
  await assert.rejects(
    rig.gateway.call(deleteTag, { repository: 'lib/none', tag: 'a' }),
    fault('name-unknown'),
  );
  // No tag is expected, and there is none: only the base is deleted.
  await rig.syncer.call(deleteTag, { repository, tag: 'a', expect: null, base: true });
  assert.deepEqual(await bases(), []);
  assert.deepEqual(tagEvents(rig).slice(2), [
    ['tag.deleted', { repository, tag: 'a', from: digest }],
    ['tag.deleted', { repository, tag: 'b', from: digest, arrived: true }],
  ]);
});

test('a base exists without its tag or repository, and is deleted when it is set to null', async () => {
  await using rig = await Rig.open(buses);
  const digest = digestOf(bytesOf('gone'));
  const bases = () => rig.syncer.call(listBases, { repository, limit: 10 });
  assert.deepEqual(await bases(), { tags: [], more: false });
  await rig.syncer.call(setBases, { repository, bases: [{ tag: 'v', digest }] });
  assert.deepEqual(await bases(), { tags: [{ tag: 'v', digest }], more: false });
  await assert.rejects(rig.gateway.call(listTags, { repository, limit: 1 }), fault('name-unknown'));
  await rig.syncer.call(setBases, { repository, bases: [{ tag: 'v', digest: null }] });
  assert.deepEqual(await bases(), { tags: [], more: false });
});

test('lists are paged in bytewise order', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'image');
  // The names of these repositories begin like this one's, so that too wide a range would fail.
  for (const name of ['lib/app-2', 'lib/app/sub', 'lib/ap'])
    await rig.gateway.pushImage(name, 'i', { tag: 'x' });
  const names = ['Z', '_', 'a', 'a-b', 'a.b', 'a_b', 'ab', '1'];
  for (const tag of names) await rig.gateway.call(putTag, { repository, tag, digest });
  const sorted = names.toSorted();
  const list = (limit: number, last?: string) =>
    rig.gateway.call(listTags, { repository, limit, ...(last !== undefined && { after: last }) });
  const all: string[] = [];
  for (let more = true; more; ) {
    const page = await list(3, all.at(-1));
    all.push(...page.tags.map(({ tag }) => tag));
    more = page.more;
  }
  assert.deepEqual(all, sorted);
  assert.equal((await list(8)).more, false);
  assert.equal((await list(7)).more, true);
  assert.deepEqual(await list(0), { tags: [], more: true });
  assert.deepEqual(await list(0, sorted.at(-1)), { tags: [], more: false });
  // The last entry of a page may have been deleted, or may never have existed.
  assert.equal((await list(1, 'a!')).tags[0]?.tag, 'a-b');
  assert.deepEqual(await list(5, '\u{10ffff}'), { tags: [], more: false });

  const repositories = await rig.gateway.call(listRepositories, { limit: 2, after: 'lib/ap' });
  assert.deepEqual(repositories, { repositories: ['lib/app', 'lib/app-2'], more: true });
  const rest = await rig.gateway.call(listRepositories, { limit: 1, after: 'lib/app-2' });
  assert.deepEqual(rest, { repositories: ['lib/app/sub'], more: false });
  await assert.rejects(
    rig.gateway.call(listRepositories, { limit: 1001 }),
    (error) => Fault.is(error, 'malformed') && error.message.includes('/limit'),
  );
});
