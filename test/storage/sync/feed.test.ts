import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Level } from 'level';
import { deleteManifest, deleteTag, listDiffering, putTag, setBases } from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { getCursor, listChanges, storeCursor } from '#proto/sync/changes.ts';
import { entriesOf, Journal } from '../../../services/storage/metadata/journal.ts';
import { Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** The journal of changes that the layers below follow. */

const buses = await sharedBuses();

const index = (name: string, subject?: string) => ({
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: [],
  annotations: { name },
  ...(subject && { subject: { mediaType: mediaTypes.ociIndex, digest: subject, size: 10 } }),
});
const put = (rig: Rig, name: string, more: { tag?: string; subject?: string } = {}) =>
  rig.gateway.pushManifest('app', index(name, more.subject), {
    mediaType: mediaTypes.ociIndex,
    ...(more.tag && { tag: more.tag }),
  });
const since = (rig: Rig, after?: string, limit = 1_000) =>
  rig.gateway.call(listChanges, { limit, ...(after !== undefined && { after }) });

test('moved and deleted tags, and changes around a manifest, are listed after the cursor, once each', async () => {
  await using rig = await Rig.open(buses);
  const { cursor: start, lost, changes } = await since(rig);
  assert.deepEqual([lost, changes], [false, []]);
  const a = await put(rig, 'a', { tag: 'v1' });
  const b = await put(rig, 'b', { tag: 'v1' });
  await put(rig, 'signature', { subject: a });
  await rig.gateway.call(putTag, { repository: 'app', tag: 'v2', digest: a });
  const first = await since(rig, start);
  assert.deepEqual(first.changes, [
    { repository: 'app', tag: 'v1', digest: b },
    { repository: 'app', around: a },
    { repository: 'app', tag: 'v2', digest: a },
  ]);
  assert.deepEqual((await since(rig, first.cursor)).changes, []);
  await rig.gateway.call(deleteTag, { repository: 'app', tag: 'v2' });
  assert.deepEqual((await since(rig, first.cursor)).changes, [
    { repository: 'app', tag: 'v2', digest: null },
  ]);
  // An earlier cursor gets the current state.
  await rig.gateway.call(deleteManifest, { repository: 'app', digest: b });
  const all = await since(rig, start);
  assert.ok(all.changes.some((change) => 'tag' in change && change.tag === 'v1' && change.digest === null));
});

test('pages end at the limit and continue from their cursor', async () => {
  await using rig = await Rig.open(buses);
  const { cursor: start } = await since(rig);
  const digest = await put(rig, 'a');
  const tags = Array.from({ length: 5 }, (_, n) => `t${n}`);
  for (const tag of tags) await rig.gateway.call(putTag, { repository: 'app', tag, digest });
  const found: string[] = [];
  let cursor = start;
  for (let more = true; more; ) {
    const page = await since(rig, cursor, 2);
    found.push(...page.changes.map((change) => ('tag' in change ? change.tag : '')));
    assert.ok(page.changes.length <= 2);
    ({ cursor, more } = page);
  }
  assert.deepEqual(found, tags);
});

test('a cursor survives restarts; one beyond the end of a restored copy is lost', async () => {
  await using rig = await Rig.open(buses);
  await put(rig, 'a', { tag: 'v1' });
  const { cursor } = await since(rig);
  await rig.restart();
  assert.equal((await since(rig, cursor)).lost, false);
  const b = await put(rig, 'b', { tag: 'v1' });
  assert.deepEqual((await since(rig, cursor)).changes, [{ repository: 'app', tag: 'v1', digest: b }]);
  const { cursor: later } = await since(rig, cursor);

  // As from an earlier copy: the number is used again, for another change.
  await rig.stop();
  const db = new Level<string, unknown>(join(rig.data, 'metadata'), { valueEncoding: 'json' });
  const [last] = await db.keys({ gt: 'j!', lt: 'j"', reverse: true, limit: 1 }).all();
  await db.del(last as string);
  await db.close();
  await rig.start();
  assert.equal((await since(rig, later)).lost, true);
  await put(rig, 'c', { tag: 'v1' });
  assert.equal((await since(rig, later)).lost, true);
  assert.equal((await since(rig, cursor)).lost, false);
  assert.equal((await since(rig, 'lost')).lost, true);
});

test('a cursor of another data volume is lost; from a cursor of an empty one, all changes are listed', async () => {
  let cursor: string;
  {
    await using rig = await Rig.open(buses);
    await put(rig, 'a', { tag: 'v1' });
    ({ cursor } = await since(rig));
  }
  await using other = await Rig.open(buses);
  assert.equal((await since(other, cursor)).lost, true);
  const { cursor: empty } = await since(other);
  await put(other, 'x', { tag: 'v1' });
  assert.equal((await since(other, cursor)).lost, true);
  assert.equal((await since(other, empty)).changes.length, 1);
});

test('the cursor that is stored for one scope is not returned for another', async () => {
  await using rig = await Rig.open(buses);
  assert.deepEqual(await rig.syncer.call(getCursor, { scopeHash: 'one' }), {});
  await rig.syncer.call(storeCursor, { scopeHash: 'one', cursor: '7.ab' });
  await rig.restart();
  assert.deepEqual(await rig.syncer.call(getCursor, { scopeHash: 'one' }), { cursor: '7.ab' });
  assert.deepEqual(await rig.syncer.call(getCursor, { scopeHash: 'two' }), {});
  await rig.syncer.call(storeCursor, { scopeHash: 'one', cursor: null });
  assert.deepEqual(await rig.syncer.call(getCursor, { scopeHash: 'one' }), {});
});

test('repositories in which a tag differs from its base are listed', async () => {
  await using rig = await Rig.open(buses);
  const names = ['a', 'a-b', 'a/b', 'b', 'c', 'd'];
  const digests: Record<string, string> = {};
  for (const repository of names) {
    for (const tag of ['1', '2']) {
      digests[repository] = await rig.gateway.pushManifest(repository, index(repository), {
        mediaType: mediaTypes.ociIndex,
        tag,
      });
    }
  }
  const agree = (repository: string, tag: string, digest = digests[repository] as string) =>
    rig.syncer.call(setBases, { repository, bases: [{ tag, digest }] });
  for (const repository of names) for (const tag of ['1', '2']) await agree(repository, tag);
  const list = async (page: { after?: string; limit: number }) => rig.syncer.call(listDiffering, page);
  assert.deepEqual(await list({ limit: 10 }), { repositories: [], more: false });
  await rig.gateway.call(deleteTag, { repository: 'a', tag: '2' });
  await agree('a/b', '1', digests.a as string);
  await rig.gateway.call(putTag, { repository: 'd', tag: '3', digest: digests.d as string });
  assert.deepEqual(await list({ limit: 10 }), { repositories: ['a', 'a/b', 'd'], more: false });
  assert.deepEqual(await list({ limit: 1 }), { repositories: ['a'], more: true });
  assert.deepEqual(await list({ limit: 10, after: 'a' }), { repositories: ['a/b', 'd'], more: false });
});

test('the journal entries of a batch name its tags, subjects, and indexes whose left-out children arrived', () => {
  const changes = [
    { type: 'put', key: 't!app!v1', value: 'x' },
    { type: 'del', key: 't!app!v2' },
    { type: 'put', key: 'f!app!sha256:s!sha256:r', value: {} },
    { type: 'del', key: 'n!app!sha256:child!sha256:index' },
    { type: 'put', key: 'n!app!sha256:other!sha256:second', value: 'linux/arm64' },
    { type: 'put', key: 'q!app!sha256:t', value: {} },
    { type: 'del', key: 'q!app!sha256:u' },
    { type: 'put', key: 'm!app!sha256:r', value: {} },
    { type: 'put', key: 's!app!v1', value: 'x' },
  ] as const;
  assert.deepEqual(entriesOf(changes), [
    ['t', 'app', 'v1'],
    ['t', 'app', 'v2'],
    ['m', 'app', 'sha256:s'],
    ['m', 'app', 'sha256:index'],
    ['m', 'app', 'sha256:t'],
    ['m', 'app', 'sha256:u'],
  ]);
});

test('an entry is visible only after all entries with smaller numbers are written or abandoned', () => {
  const journal = new Journal(1, 0);
  const tag = (name: string) => [{ type: 'put', key: `t!app!${name}`, value: 'x' }] as const;
  const first = journal.add(tag('a'));
  const second = journal.add(tag('b'));
  second.close();
  assert.equal(journal.head, 0);
  first.close();
  assert.equal(journal.head, 2);
  assert.deepEqual(journal.trim(), []);
});
