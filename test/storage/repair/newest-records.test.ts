import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Level } from 'level';
import { deleteTag, listBases, setBases } from '#proto/content/manifests.ts';
import { listChanges } from '#proto/sync/changes.ts';
import { digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { app, fileOf, repair, tagsOf } from './repair-rig.ts';

/** Of several records of a key the newest counts, a deletion too, also without LevelDB's list of its files. */

const buses = await sharedBuses();

/** Converts a log to a table, in another folder. @returns the path of the table */
async function tableOf(log: string, folder: string): Promise<string> {
  await mkdir(folder);
  await copyFile(log, join(folder, '000001.log'));
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(folder);
  const name = (await readdir(folder)).find((each) => each.endsWith('.ldb'));
  return join(folder, name as string);
}

test('deleted tags stay deleted, and bases and cursors are reset', async () => {
  await using rig = await Rig.open(buses);
  for (let i = 0; i < 5; i += 1) {
    const digest = await rig.gateway.pushImage(app, `layer ${i}`, { tag: `v${i}` });
    await rig.syncer.call(setBases, { repository: app, bases: [{ tag: `v${i}`, digest }] });
  }
  await rig.gateway.call(deleteTag, { repository: app, tag: 'v3' });
  const { cursor } = await rig.gateway.call(listChanges, { limit: 10 });
  await rig.stop();
  await rm(join(rig.data, 'metadata/CURRENT'));
  await repair(rig);
  await rig.start();
  assert.deepEqual(
    (await tagsOf(rig, app)).map(({ tag }) => tag),
    ['v0', 'v1', 'v2', 'v4'],
  );
  const { tags: bases } = await rig.syncer.call(listBases, { repository: app, limit: 10 });
  assert.deepEqual(bases, [], 'neither the deletion of v3 nor anything else is sent to the parent');
  for (const after of [cursor, '0.']) {
    assert.equal((await rig.gateway.call(listChanges, { after, limit: 10 })).lost, true);
  }
});

test('the newest of several values of a key counts, for any numbers of the tables', async () => {
  await using rig = await Rig.open(buses);
  await rig.storage.accounts.create({ name: 'deleted', actions: ['repositories/*/content/read'] });
  await rig.gateway.pushImage(app, 'older', { tag: 'v1' });
  // The restart moves what was written so far to a table.
  await rig.restart();
  await rig.storage.accounts.delete('deleted');
  const newer = await rig.gateway.pushImage(app, 'newer', { tag: 'v1' });
  await rig.stop();
  const folder = join(rig.data, 'metadata');
  await rename(await fileOf(rig, '.ldb'), join(folder, '000099.ldb'));
  const log = await fileOf(rig, '.log');
  await rename(await tableOf(log, join(rig.data, 'converted')), join(folder, '000002.ldb'));
  await Promise.all([rm(log), rm(join(folder, 'CURRENT'))]);
  const { restored } = await repair(rig, { open: true });
  assert.deepEqual(restored, [], 'the tag points to the newer manifest without any hint');
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), newer);
  await assert.rejects(rig.storage.accounts.change({ name: 'deleted' }), fault('account-unknown'));
});

test('a table stays although the end of the manifest that names it is cut off', async () => {
  await using rig = await Rig.open(buses);
  const inTable = await rig.gateway.pushImage(app, 'tabled', { tag: 'v1' });
  // The restart moves what was written so far to a table.
  await rig.restart();
  await rig.gateway.pushImage(app, 'logged', { tag: 'v2' });
  await rig.stop();
  const folder = join(rig.data, 'metadata');
  const path = join(folder, (await readFile(join(folder, 'CURRENT'), 'utf8')).trim());
  const manifest = await readFile(path);
  await writeFile(path, manifest.subarray(0, -10));
  await assert.rejects(rig.start(), fault('volume-unusable'));
  const { lost, restored } = await repair(rig);
  assert.deepEqual([lost, restored], [[], []]);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), inTable);
});
