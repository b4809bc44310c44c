import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { layerInstance } from '#proto/accounts/children.ts';
import { listDamaged } from '#proto/content/maintenance.ts';
import { deleteTag, getManifest, listBases, listTags, setBases } from '#proto/content/manifests.ts';
import { listChanges } from '#proto/sync/changes.ts';
import { listUnsent, listWithdrawn } from '#proto/sync/outgoing.ts';
import { restoreBackup } from '../../../services/storage/backup/restore/restore.ts';
import { Metadata } from '../../../services/storage/metadata/metadata.ts';
import { sharedFolder } from '../../support/shared-folder.ts';
import { bytesOf, digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();
const root = sharedFolder('restore');
let target: string;
let data: string;
beforeEach(async () => {
  const folder = await mkdtemp(join(root, 'test-'));
  target = join(folder, 'b');
  data = join(folder, 'restored');
});

const restore = (more: { metadataOnly?: boolean; at?: number; source?: string } = {}) =>
  restoreBackup({ source: target, data, metadataOnly: false, ...more }, () => {});

async function recordsOf(folder: string): Promise<Map<string, string>> {
  await using metadata = await Metadata.open(join(folder, 'metadata'));
  await using snapshot = metadata.readerNow();
  const all = new Map<string, string>();
  for await (const [key, json] of snapshot.texts()) all.set(key, json);
  return all;
}

async function contentOf(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(join(folder, 'blobs'), { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(async ({ parentPath, name }) => {
      const path = join(parentPath, name);
      assert.equal(((await stat(path)).mode & 0o777).toString(8), '444');
      return [name, digestOf(await readFile(path)).slice(7)] as const;
    });
  return new Map(await Promise.all(files));
}

for (const kind of ['folder', 'tar file']) {
  test(`a ${kind} is restored with all content, tags, accounts and the instance of the layer`, async () => {
    await using rig = await Rig.open(buses);
    await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
    await rig.gateway.pushImage('line/tool', 'two', { tag: 'v1' });
    await writeFile(join(rig.data, 'twin.json'), '{"twin":1}');
    rig.storage.configuration = {
      parent: { passwordFile: '/etc/p', url: 'https://a' },
      tls: [{ keyFile: '/k' }],
    };
    const source = kind === 'folder' ? target : `${target}.tar`;
    const done = await rig.storage.backups.run({ target: source });
    const restored = await restore({ source });
    assert.deepEqual(restored.files, ['/etc/p', '/k']);
    assert.deepEqual([restored.id, restored.blobs, restored.missing.blobs], [done.id, done.blobs, 0]);
    assert.equal(await readFile(join(data, 'twin.json'), 'utf8'), '{"twin":1}');
    const before = await contentOf(rig.data);
    assert.deepEqual(await contentOf(data), before);
    for (const [name, digest] of before) assert.equal(name, digest);
    await rig.stop();
    const [old, now] = [await recordsOf(rig.data), await recordsOf(data)];
    const kept = (all: Map<string, string>) =>
      [...all].filter(([key]) => /^[blmftuac]!|^x!(instance|version|declared)/.test(key));
    assert.deepEqual(kept(now), kept(old));
    assert.ok(now.get('x!restored')?.includes(done.id));
    await rig.start();
  });
}

test('the restored layer counts as another one for the layers below, and as one that was off for its parent', async () => {
  const [agreed, changed, deleted] = ['agreed', 'changed', 'deleted'];
  let instance: string;
  let cursor: string;
  {
    await using rig = await Rig.open(buses);
    const digest = await rig.gateway.pushImage('line/app', 'one', { tag: agreed });
    for (const tag of [changed, deleted]) await rig.gateway.pushImage('line/app', 'one', { tag });
    const agreements = [agreed, changed, deleted].map((tag) => ({ tag, digest }));
    await rig.syncer.call(setBases, { repository: 'line/app', bases: agreements });
    await rig.gateway.pushImage('line/app', 'two', { tag: changed });
    await rig.gateway.call(deleteTag, { repository: 'line/app', tag: deleted });
    ({ cursor } = await rig.gateway.call(listChanges, { limit: 10 }));
    ({ instance } = await rig.gateway.call(layerInstance, {}));
    await rig.storage.backups.run({ target });
  }
  const { notes } = await restore();
  assert.equal(notes.length, 2);
  await using rig = await Rig.open(buses, data);
  const { tags: bases } = await rig.syncer.call(listBases, { repository: 'line/app', limit: 10 });
  assert.deepEqual(
    bases.map(({ tag }) => tag),
    [agreed],
  );
  const { tags } = await rig.gateway.call(listTags, { repository: 'line/app', limit: 10 });
  assert.deepEqual(
    tags.map(({ tag }) => tag),
    [agreed, changed],
  );
  // The layers below wait until it has compared with its parent.
  await assert.rejects(rig.gateway.call(listChanges, { limit: 10 }), fault('unavailable'));
  rig.now += 10 * 60_000;
  const changes = await rig.gateway.call(listChanges, { after: cursor, limit: 10 });
  assert.deepEqual([changes.lost, typeof changes.repaired], [true, 'string']);
  assert.equal((await rig.gateway.call(layerInstance, {})).instance, instance);
  const { manifests } = await rig.syncer.call(listWithdrawn, { limit: 10 });
  assert.deepEqual(manifests, []);
  assert.equal((await rig.syncer.call(listUnsent, { limit: 10 })).manifests.length, 2);
});

test('an interrupted restore prevents a start, and is continued with what is verified', async () => {
  {
    await using rig = await Rig.open(buses);
    await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
    await rig.storage.backups.run({ target });
  }
  await restore();
  // As if it had been interrupted while it copied.
  await rm(join(data, 'metadata'), { recursive: true });
  await rm(join(data, 'metadata.json'));
  const [id = ''] = (await readdir(join(target, 'backups'))).filter((name) => name.endsWith('.json'));
  await mkdir(join(data, 'restore/metadata'), { recursive: true });
  await writeFile(join(data, 'restore/backup'), `${id.replace('.json', '')}\n`);
  await writeFile(join(data, 'restore/half'), 'half');
  const one = digestOf(bytesOf('one'));
  const file = join(data, 'blobs/sha256', one.slice(7, 9), one.slice(7));
  const { ino } = await stat(file);
  await assert.rejects(Rig.open(buses, data), /the restore of a backup to .* was interrupted/);
  await restore();
  assert.equal((await stat(file)).ino, ino, 'not copied again');
  // As if it had been interrupted while it deleted the folder.
  await mkdir(join(data, 'restore'));
  await using rig = await Rig.open(buses, data);
  await rig.gateway.call(getManifest, { repository: 'line/app', reference: 'v1' });
  await assert.rejects(restore(), fault('conflict'), 'the folder is not empty');
});

test('content that is damaged in the backup, or not wanted, counts as damaged in the layer', async () => {
  {
    await using rig = await Rig.open(buses);
    await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
    await rig.storage.backups.run({ target });
  }
  const one = digestOf(bytesOf('one'));
  await writeFile(join(target, 'blobs/sha256', one.slice(7, 9), one.slice(7)), 'eno');
  const copy = `${data}-without`;
  const { missing } = await restore();
  assert.deepEqual(missing, { blobs: 1, first: [one] });
  {
    await using rig = await Rig.open(buses, data);
    const { damaged } = await rig.syncer.call(listDamaged, { limit: 10 });
    assert.deepEqual(
      damaged.map(({ digest }) => digest),
      [one],
    );
  }
  await restoreBackup({ source: target, data: copy, metadataOnly: true }, () => {});
  await using rig = await Rig.open(buses, copy);
  assert.equal((await rig.syncer.call(listDamaged, { limit: 10 })).damaged.length, 3);
});

test('content that was known to be damaged at the backup is named by the restore', async () => {
  const one = digestOf(bytesOf('one'));
  {
    await using rig = await Rig.open(buses);
    await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
    await rm(join(rig.data, 'blobs/sha256', one.slice(7, 9), one.slice(7)));
    await rig.storage.scrubber.scrub(1e9);
    await rig.storage.backups.run({ target });
  }
  const { blobs, missing } = await restore();
  assert.deepEqual([blobs, missing], [3, { blobs: 1, first: [one] }]);
});

test('a backup of a later version, of another time or with damaged metadata is refused, and changes nothing', async () => {
  let at = 0;
  {
    await using rig = await Rig.open(buses);
    await rig.gateway.pushImage('line/app', 'one', { tag: 'v1' });
    ({ at } = await rig.storage.backups.run({ target }));
  }
  await assert.rejects(restore({ at: at - 1_000 }), /no complete backup/);
  const [dump = ''] = (await readdir(join(target, 'backups'))).filter((name) => name.endsWith('.zst'));
  const spare = `${target}-spare`;
  await cp(target, spare, { recursive: true });
  await writeFile(join(target, 'backups', dump), 'no');
  await assert.rejects(restore(), fault('malformed'));
  await restore({ source: spare });
});

test('accounts are as in the backup', async () => {
  {
    await using rig = await Rig.open(buses);
    await rig.storage.accounts.create({ name: 'line', scopeMap: '_repositories_admin' });
    await rig.storage.backups.run({ target });
  }
  await restore();
  await using rig = await Rig.open(buses, data);
  const { tokens } = await rig.storage.accounts.list({ limit: 10 });
  assert.deepEqual(
    tokens.map(({ name }) => name),
    ['line'],
  );
});
