import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkBlobs, repositoriesOfBlob, unlinkBlob } from '#proto/content/blobs.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { syncRepositories } from '#proto/sync/behind.ts';
import {
  dropSession,
  getSession,
  listParked,
  type Parked,
  park,
  storeSession,
  unpark,
} from '#proto/sync/outgoing.ts';
import { bytesOf, digestOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { repository } from './outgoing-rig.ts';

/** What the syncer keeps and reads to send changes: parked changes, upload sessions, repositories of a blob. */

const buses = await sharedBuses();

test('a refused change is parked once per reference, and stays parked over a restart', async () => {
  await using rig = await Rig.open(buses);
  const digest = digestOf(bytesOf('some manifest'));
  const refusal = { code: 'denied', reason: 'no', since: 1, attempts: 1, retry: 2 };
  const [ofTag, ofManifest, ofOther]: [Parked, Parked, Parked] = [
    { repository, reference: 'v1', digest, ...refusal },
    { repository, reference: digest, digest, ...refusal },
    { repository: 'lib/app-2', reference: 'v1', ...refusal },
  ];
  for (const each of [ofOther, ofTag, ofManifest]) await rig.syncer.call(park, each);
  await rig.syncer.call(park, { ...ofTag, attempts: 2, retry: 9 });
  await rig.restart();
  const list = (limit: number, last?: string) =>
    rig.syncer.call(listParked, { limit, ...(last !== undefined && { after: last }) });
  const again = { ...ofTag, attempts: 2, retry: 9 };
  assert.deepEqual(await list(2), { parked: [ofManifest, again], more: true });
  assert.deepEqual(await list(2, `${repository}!v1`), { parked: [ofOther], more: false });
  const parked = async () => (await rig.gateway.call(storageStatus, {})).outgoing.parked;
  assert.equal(await parked(), 3);
  for (let i = 0; i < 2; i += 1) await rig.syncer.call(unpark, { repository, reference: 'v1' });
  assert.deepEqual((await list(9)).parked, [ofManifest, ofOther]);
  assert.equal(await parked(), 2);
});

test('a layer that pushes nothing has nothing pending, and its changes are recorded for the day when it does', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'kept', { tag: 'v1' });
  const refusal = { code: 'denied', reason: 'no', since: 1, attempts: 1, retry: 2 };
  await rig.syncer.call(park, { repository, reference: 'v1', ...refusal });
  const outgoing = async () => {
    const { tags: _, ...manifests } = (await rig.gateway.call(storageStatus, {})).outgoing;
    return manifests;
  };
  const ahead = async () =>
    (await rig.gateway.call(syncRepositories, { limit: 9, only: 'ahead' })).repositories.length;
  for (const selected of [undefined, ['none']]) {
    rig.configure({ selected, pushes: false });
    assert.deepEqual(await outgoing(), { unsent: 0, withdrawn: 0, parked: 0 });
    assert.equal(await ahead(), 0);
    const [all] = (await rig.gateway.call(syncRepositories, { limit: 9 })).repositories;
    assert.deepEqual(all?.ahead, { tags: 0, manifests: 0, deletions: 0, parked: 0 });
  }
  rig.configure({ selected: ['*'], pushes: true });
  assert.deepEqual(await outgoing(), { unsent: 1, withdrawn: 0, parked: 1 });
  assert.equal(await ahead(), 1);
});

test('a page of parked changes fits into a message, also with long reasons of the parent', async () => {
  await using rig = await Rig.open(buses);
  const refusal = { code: 'denied', reason: 'no \u2713 '.repeat(800), since: 1, attempts: 1, retry: 2 };
  const references = Array.from({ length: 300 }, (_, at) => `v${1_000 + at}`);
  for (const reference of references) await rig.storage.outgoing.park({ repository, reference, ...refusal });
  const found: string[] = [];
  for (let after: string | undefined; ; after = `${repository}!${found.at(-1)}`) {
    const { parked, more } = await rig.syncer.call(listParked, { limit: 1_000, ...(after && { after }) });
    found.push(...parked.map(({ reference }) => reference));
    if (!more) break;
  }
  assert.deepEqual(found, references);
});

test('an upload session is kept across a restart until it is dropped, or its blob is unlinked', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.push(repository, bytesOf('large'));
  const key = { repository, digest };
  const get = async () => (await rig.syncer.call(getSession, key)).location;
  assert.equal(await get(), undefined);
  await rig.syncer.call(storeSession, { ...key, location: '/v2/x/blobs/uploads/1' });
  const location = `https://registry.example/v2/x/blobs/uploads/2?_state=${'x'.repeat(6_000)}`;
  await rig.syncer.call(storeSession, { ...key, location });
  await rig.restart();
  assert.equal(await get(), location);
  await rig.syncer.call(dropSession, key);
  await rig.syncer.call(dropSession, key);
  assert.equal(await get(), undefined);
  await rig.syncer.call(storeSession, { ...key, location });
  await rig.gateway.call(unlinkBlob, key);
  assert.equal(await get(), undefined);
});

test('the offset of an upload session is kept with its location, whatever that contains', async () => {
  await using rig = await Rig.open(buses);
  const key = { repository, digest: digestOf(bytesOf('large')) };
  for (const session of [
    { location: '/v2/x/blobs/uploads/1?_state=a', offset: 0 },
    { location: '/v2/x/blobs/uploads/1#7', offset: 12_345_678_901 },
    { location: '/v2/x/blobs/uploads/#' },
  ]) {
    await rig.syncer.call(storeSession, { ...key, ...session });
    assert.deepEqual(await rig.syncer.call(getSession, key), session);
  }
});

test('the repositories of a blob are listed in order, up to the limit', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.push('lib/b', bytesOf('shared'));
  await rig.gateway.push('lib/none', bytesOf('other'));
  for (const name of ['lib/c', 'lib/a']) {
    await rig.gateway.call(linkBlobs, { repository: name, digests: [digest] });
  }
  const repositoriesOf = async (limit: number, name = digest) =>
    (await rig.syncer.call(repositoriesOfBlob, { digest: name, limit })).repositories;
  assert.deepEqual(await repositoriesOf(9), ['lib/a', 'lib/b', 'lib/c']);
  assert.deepEqual(await repositoriesOf(2), ['lib/a', 'lib/b']);
  assert.deepEqual(await repositoriesOf(9, digestOf(bytesOf('unknown'))), []);
});
