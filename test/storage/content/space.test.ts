import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unlinkBlob } from '#proto/content/blobs.ts';
import { claimTransfer, claimUpload, commitBlob, startUpload } from '#proto/content/ingests.ts';
import { deleteManifest } from '#proto/content/manifests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Volume } from '#proto/volume/volume.ts';
import { SpaceGuard } from '../../../services/storage/content/space-guard.ts';
import { quiet } from '../../support/bus.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { bytesOf, digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const layer = bytesOf('layer');
/** More than any volume has. */
const EVERYTHING = Number.MAX_SAFE_INTEGER;
const spaceEvents = (rig: Rig) =>
  rig.events.filter(([type]) => type === 'space.changed').map(([, data]) => (data as { low: boolean }).low);

test('below the reserve no new content is accepted, and everything else continues', async () => {
  await using rig = await Rig.open(buses);
  const manifest = await rig.gateway.pushImage(repository, 'layer');
  const begun = await rig.gateway.uploaded(repository, bytesOf('begun'));
  const free = await rig.gateway.call(startUpload, { repository, by: 'a', hold: false });
  rig.configure({ reserve: EVERYTHING });
  const upload = { repository, by: 'a', hold: true };
  const transfer = { size: 9, by: 'a' };
  await assert.rejects(rig.gateway.call(startUpload, upload), (error: Error) => {
    assert.match(error.message, /has [\d.]+ [kMG]?B free, less than the reserve of [\d.]+ [kMGT]?B: delete/);
    return fault('no-space')(error);
  });
  await assert.rejects(
    rig.gateway.call(claimUpload, { repository, id: free.id, by: 'a' }),
    fault('no-space'),
  );
  await assert.rejects(
    rig.gateway.call(claimUpload, { repository, id: 'upload-1', by: 'a' }),
    fault('upload-unknown'),
  );
  const absent = digestOf(bytesOf('absent'));
  await assert.rejects(rig.syncer.call(claimTransfer, { digest: absent, ...transfer }), fault('no-space'));
  await assert.rejects(
    rig.syncer.call(claimTransfer, { digest: digestOf(layer), ...transfer }),
    fault('exists'),
  );

  const { id, claim } = begun;
  await rig.gateway.call(commitBlob, { id, claim, digest: digestOf(bytesOf('begun')), repository });
  assert.deepEqual(new Uint8Array(await rig.gateway.read(repository, digestOf(layer))), layer);
  await rig.gateway.call(deleteManifest, { repository, digest: manifest });
  await rig.gateway.call(unlinkBlob, { repository, digest: digestOf(layer) });
  const { space } = await rig.gateway.call(storageStatus, {});
  assert.deepEqual([space.low, space.reserve], [true, EVERYTHING]);

  rig.configure({ reserve: 1 });
  await rig.gateway.call(startUpload, upload);
  assert.deepEqual(spaceEvents(rig), [true, false], 'each change is published once');
});

test('a writer that reaches the reserve is stopped, and continues when there is room', async () => {
  await using rig = await Rig.open(buses);
  const claim = await rig.gateway.call(startUpload, { repository, by: 'a', hold: true });
  let reserve = EVERYTHING;
  await using file = await new Volume(rig.data, () => reserve).openIngest(claim);
  const piece = new Uint8Array(4 * 1024 * 1024);
  let written = 0;
  const write = async () => {
    await file.write([piece], written);
    written += piece.byteLength;
  };
  await assert.rejects(async () => {
    while (written < 40 * 1024 * 1024) await write();
  }, fault('no-space'));
  assert.ok(written < 32 * 1024 * 1024, 'it is stopped soon');
  await assert.rejects(write(), fault('no-space'), 'it stays stopped below the reserve');
  reserve = 0;
  await write();
});

test('around the reserve the shortage has hysteresis', async (t) => {
  await using volume = await smallVolume(32);
  if (!volume) return t.skip('needs the right to mount');
  // Space is measured on request only, not by the timer in the middle of a change.
  t.mock.timers.enable({ apis: ['setInterval'] });
  const published: boolean[] = [];
  await using guard = new SpaceGuard(
    volume.path,
    (_event, data) => published.push((data as { low: boolean }).low),
    quiet,
  );
  const MIB = 1024 * 1024;
  for (const [free, low] of [
    [17 * MIB, false],
    [15.9 * MIB, true],
    [16.2 * MIB, true],
    [15.9 * MIB, true],
    [18 * MIB, false],
    [16.2 * MIB, false],
  ] as const) {
    const release = await volume.fill(free);
    guard.reserve = 16 * MIB;
    assert.equal((await guard.current()).low, low, `${free}`);
    await release();
  }
  assert.deepEqual(published, [true, false]);
});
