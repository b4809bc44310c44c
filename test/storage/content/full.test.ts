import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { locateBlob } from '#proto/content/blobs.ts';
import { CLAIM_TTL_MS, claimTransfer, commitBlob, renewClaim } from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Metadata, put } from '../../../services/storage/metadata/metadata.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { bytesOf, digestOf, fault, Rig, random } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

test('on a full volume a commit fails with no-space, leaves nothing visible, and succeeds once there is room', async (t) => {
  await using volume = await smallVolume(8);
  if (!volume) return t.skip('needs the right to mount');
  await using rig = await Rig.open(buses, join(volume.path, 'data'));
  rig.configure({ reserve: 0 });
  const repository = 'lib/app';
  const bytes = random(1_000_000);
  const digest = digestOf(bytes);
  const old = await rig.syncer.call(claimTransfer, { digest, size: bytes.byteLength, by: 'a' });
  await rig.syncer.write(old, bytes);
  rig.now += CLAIM_TTL_MS;
  // The claim was taken over, so the commit needs room for a copy.
  const held = await rig.syncer.call(claimTransfer, { digest, size: bytes.byteLength, by: 'b' });
  const query = { id: held.id, claim: held.claim, digest, repository };
  const release = await volume.fill(300_000);
  await assert.rejects(rig.syncer.call(commitBlob, query), fault('no-space'));
  await assert.rejects(rig.syncer.call(locateBlob, { repository, digest }), fault('name-unknown'));
  assert.deepEqual(await rig.syncer.call(renewClaim, held), {});
  assert.deepEqual(await readdir(join(rig.data, held.path)), ['data'], 'no part of a copy is left');
  assert.equal((await rig.syncer.call(storageStatus, {})).blobs, 0);
  await release();
  await rig.syncer.call(commitBlob, query);
  assert.deepEqual(await rig.syncer.read(repository, digest), Buffer.from(bytes));
});

test('after a failed write, metadata accepts no more, and opened again it has every confirmed write', async (t) => {
  await using volume = await smallVolume(8);
  if (!volume) return t.skip('needs the right to mount');
  const folder = join(volume.path, 'metadata');
  const confirmed: string[] = [];
  let release = async () => {};
  {
    await using metadata = await Metadata.open(folder);
    release = await volume.fill(200_000);
    const write = async (name: string) => {
      const digest = digestOf(bytesOf(name));
      const padding = put.tag('lib/app', name, `${digest}${'x'.repeat(20_000)}`);
      await metadata.write([...put.blob(digest, { size: 1 }), ...padding]);
      confirmed.push(digest);
    };
    const failure = assert.rejects(metadata.failure, fault('no-space'));
    await assert.rejects(async () => {
      for (let i = 0; ; i += 1) await write(`v${i}`);
    }, fault('no-space'));
    await failure;
    await release();
    await assert.rejects(write('after'), fault('no-space'));
    assert.equal(metadata.counters.blobs, confirmed.length);
  }
  await using again = await Metadata.open(folder);
  assert.ok(confirmed.length > 0);
  for (const digest of confirmed) assert.ok(await again.blob(digest));
});
