import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Level } from 'level';
import { deleteSynchronized, getManifest, listBases, setBases } from '#proto/content/manifests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { beginSending, listSending, recordParent } from '#proto/sync/outgoing.ts';
import { fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { pending, put, remove, repository, settle, unsent } from './outgoing-rig.ts';

/**
 * What is outgoing, and which bases are kept, if it is unknown what the parent has: it is another one, it was repaired,
 * or the data volume is of an earlier version.
 */

const buses = await sharedBuses();

test('another parent resets the bases and makes all manifests unsent, unless `forget` is false', async () => {
  await using rig = await Rig.open(buses);
  const digest = await put(rig, 'agreed', { tag: 'v1', arrived: true });
  const other = await put(rig, 'deleted', { arrived: true });
  await remove(rig, other);
  await rig.syncer.call(setBases, { repository, bases: [{ tag: 'v1', digest }] });
  const recordMeeting = async (parent: string, forget: boolean) =>
    (await rig.syncer.call(recordParent, { parent, forget })).forgotten;
  const bases = async () => (await rig.syncer.call(listBases, { repository, limit: 9 })).tags.length;
  assert.equal(await recordMeeting('one.example', true), false);
  assert.equal(await recordMeeting('one.example', true), false);
  assert.equal(await recordMeeting('two.example:5000', false), false);
  assert.deepEqual([await bases(), await pending(rig)], [1, { unsent: [], withdrawn: [other] }]);
  await rig.restart();
  assert.equal(await recordMeeting('three.example', true), true);
  assert.deepEqual([await bases(), await pending(rig)], [0, { unsent: [digest], withdrawn: [] }]);
  assert.equal((await unsent(rig))[0]?.unknownOrigin, true);
  await settle(rig, digest);
  assert.equal(await recordMeeting('three.example', true), false);
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
});

test('another parent got nothing of what was sent, also in a repository of which nothing is left', async () => {
  await using rig = await Rig.open(buses);
  const move = { tag: 'v1', base: null, digest: await put(rig, 'sent'), known: { base: null } };
  for (const name of [repository, 'left']) {
    await rig.syncer.call(beginSending, { repository: name, digests: [], move });
  }
  const sending = async () => (await rig.syncer.call(listSending, { limit: 9 })).tags.length;
  await rig.syncer.call(recordParent, { parent: 'one.example', forget: true });
  assert.equal(await sending(), 2);
  await rig.syncer.call(recordParent, { parent: 'two.example', forget: true });
  assert.equal(await sending(), 0);
});

test('after a repair of the parent, which may lack content, the bases are reset, in any mode', async () => {
  await using rig = await Rig.open(buses);
  const digest = await put(rig, 'one', { tag: 'v1', arrived: true });
  const bases = async () => (await rig.syncer.call(listBases, { repository, limit: 9 })).tags.length;
  const recordMeeting = async (repaired?: string) => {
    await rig.syncer.call(setBases, { repository, bases: [{ tag: 'v1', digest }] });
    const query = { parent: 'one.example', forget: false, ...(repaired !== undefined && { repaired }) };
    const { forgotten } = await rig.syncer.call(recordParent, query);
    assert.equal(await bases(), forgotten ? 0 : 1);
    return forgotten;
  };
  assert.equal(await recordMeeting(), false);
  assert.equal(await recordMeeting(''), false, 'it was never repaired');
  assert.equal(await recordMeeting('ab12'), true);
  assert.deepEqual(
    [await recordMeeting('ab12'), await recordMeeting()],
    [false, false],
    'the repair is known, or not reported',
  );
  await rig.restart();
  assert.equal(await recordMeeting('ab12'), false);
  assert.equal(await recordMeeting('cd34'), true, 'another repair');
});

test('a repository that stands for another one of the parent is reset, and no other one', async () => {
  await using rig = await Rig.open(buses);
  const digest = await put(rig, 'one', { tag: 'v1', arrived: true });
  const bases = async () => (await rig.syncer.call(listBases, { repository, limit: 9 })).tags.length;
  const record = async (renames: { name: string; from: string }[], more: object = {}) => {
    await rig.syncer.call(setBases, { repository, bases: [{ tag: 'v1', digest }] });
    const query = { parent: 'one.example', forget: true, renames, ...more };
    const { forgotten } = await rig.syncer.call(recordParent, query);
    assert.equal(await bases(), forgotten ? 0 : 1);
    return forgotten;
  };
  const own = [{ name: repository, from: 'library/app' }];
  assert.equal(await record(own), false, 'nothing was agreed on before');
  assert.equal(await record(own), false);
  assert.equal(await record([...own, { name: 'other', from: 'x' }]), false, 'of another repository');
  await rig.restart();
  assert.equal(await record([{ name: repository, from: 'library/other' }]), true);
  assert.equal(await record([{ name: '*', from: 'library/*' }]), true);
  assert.equal(await record([]), true);
  assert.equal(await record(own, { forget: false }), false);
  assert.equal(await record(own, { repaired: 'ab12' }), true);
  assert.equal(await record(own), false, 'the repair is still known');
  assert.equal(await record([], { repaired: 'ab12' }), true);
});

/** Restarts storage on a data volume of version 1, without outgoing records other than those that `keep` selects. */
async function restartAsVersion1(rig: Rig, keep: (key: string) => boolean): Promise<void> {
  await rig.stop();
  const db = new Level<string, unknown>(join(rig.data, 'metadata'), { valueEncoding: 'json' });
  for await (const key of db.keys()) if (/^[uv]!/.test(key) && !keep(key)) await db.del(key);
  await db.put('x!version', 1);
  await db.close();
  await rig.start();
}

test('in a data volume of version 1 all manifests become unsent, once; an interrupted migration is resumed', async () => {
  await using rig = await Rig.open(buses);
  const digests: string[] = [];
  for (const text of ['a', 'b', 'c']) digests.push(await put(rig, text, { arrived: true }));
  await restartAsVersion1(rig, () => false);
  assert.deepEqual((await pending(rig)).unsent, digests.toSorted());
  assert.equal((await rig.gateway.call(storageStatus, {})).outgoing.unsent, 3);
  await restartAsVersion1(rig, (key) => key.endsWith(digests[1]!));
  assert.deepEqual((await pending(rig)).unsent, digests.toSorted());
  const sinces = (await unsent(rig)).map(({ since }) => since);
  assert.equal(new Set(sinces).size, 3);

  // The parent may have it, so its deletion is sent.
  await remove(rig, digests[0]!);
  assert.deepEqual((await pending(rig)).withdrawn, [digests[0]]);
  await settle(rig, digests[1]!);
  await rig.restart();
  assert.deepEqual((await pending(rig)).unsent, [digests[2]]);

  // No record says that a client put it: it is deleted with its repository.
  const deleted = await rig.syncer.call(deleteSynchronized, { repository });
  assert.deepEqual(deleted, { tags: 0, manifests: 2 });
});

test('a new data volume has nothing outgoing', async () => {
  await using rig = await Rig.open(buses);
  await rig.restart();
  await put(rig, 'arrived', { arrived: true });
  await rig.restart();
  assert.deepEqual(await pending(rig), { unsent: [], withdrawn: [] });
  await assert.rejects(
    rig.gateway.call(getManifest, { repository, reference: 'v1' }),
    fault('manifest-unknown'),
  );
});
