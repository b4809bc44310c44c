import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { locateBlob } from '#proto/content/blobs.ts';
import { Fault } from '#proto/contract/fault.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { bytesOf, digestOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const absent = digestOf(bytesOf('not here'));

test('the status counts the records, also after a restart', async () => {
  await using rig = await Rig.open(buses);
  const manifest = await rig.gateway.pushImage('lib/a', 'layer', { tag: 'one' });
  await rig.gateway.pushImage('lib/b', 'layer', { tag: 'two' });
  const { size } = await rig.gateway.call(locateBlob, {
    repository: 'lib/a',
    digest: digestOf(bytesOf('layer')),
  });
  const { space: _, ...counted } = await rig.gateway.call(storageStatus, {});
  const bytes = size + 2 + (await rig.gateway.readManifest('lib/a', manifest)).byteLength;
  assert.deepEqual(counted, {
    repositories: 2,
    tags: 2,
    blobs: 3,
    bytes,
    damaged: 0,
    tokens: 0,
    scopeMaps: 0,
    outgoing: { unsent: 2, withdrawn: 0, parked: 0 },
    behind: { tags: 0, bytes: 0, unsized: 0, failed: 0 },
    conflicts: 0,
    ingests: [],
  });
  await rig.restart();
  const { space: __, ...again } = await rig.gateway.call(storageStatus, {});
  assert.deepEqual(again, counted);
});

test('a request that violates its schema is refused, and the fault names the field', async () => {
  await using rig = await Rig.open(buses);
  await assert.rejects(
    rig.gateway.call(locateBlob, { repository: 'Upper', digest: absent }),
    (error) => Fault.is(error, 'malformed') && error.message.includes('/repository'),
  );
});

test('a keyed lock runs the tasks of one key one after another, and is empty afterwards', async () => {
  const locks = new KeyedLock();
  const steps: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = locks.run('k', async () => {
    await gate.promise;
    steps.push('first');
    throw new Error('it fails');
  });
  const second = locks.run('k', async () => steps.push('second'));
  await locks.run('other', async () => steps.push('other'));
  gate.resolve();
  await assert.rejects(first);
  await second;
  assert.deepEqual(steps, ['other', 'first', 'second']);
  assert.equal(locks.size, 0);
});
