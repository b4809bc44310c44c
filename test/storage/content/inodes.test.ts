import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commitBlob, startUpload } from '#proto/content/ingests.ts';
import { deleteTag, listTags } from '#proto/content/manifests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Ballast } from '#proto/volume/ballast.ts';
import { spaceOf } from '#proto/volume/space.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { bytesOf, digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** A volume may run out of inodes long before it runs out of bytes. */

const MIB = 1024 * 1024;
const NEEDS_MOUNT = 'needs the right to mount';
const buses = await sharedBuses();
const repository = 'lib/app';

test('uploads leave the reserve of inodes alone, and everything else continues below it', async (t) => {
  await using volume = await smallVolume(64, 1_200);
  if (!volume) return t.skip(NEEDS_MOUNT);
  await using rig = await Rig.open(buses, join(volume.path, 'data'));
  rig.configure({ reserve: 0 });
  const manifest = await rig.syncer.pushImage(repository, 'one', { tag: 'v1' });
  const begun = await rig.gateway.uploaded(repository, bytesOf('begun'));
  const { inodes: before } = await spaceOf(volume.path, 0);
  assert.equal(before?.reserve, 60);
  let account = 0;
  const isLow = () => {
    const [, data] = rig.events.findLast(([type]) => type === 'space.changed') ?? [];
    return (data as { low: boolean }).low;
  };
  const flood = async () => {
    for (;;) {
      const behalf = `a${account++ % 10}`;
      const query = { repository, by: 'a', hold: false };
      const refused = await rig.gateway.call(startUpload, query, { behalf }).then(
        () => undefined,
        (error: Error) => error,
      );
      if (refused && isLow()) throw refused;
    }
  };
  const message =
    /^Fault: the data volume has room for \d+ more files \(inodes\), less than the reserve of 60: delete/;
  const ends = await Promise.allSettled(Array.from({ length: 20 }, flood));
  for (const end of ends) assert.match(String(end.status === 'rejected' && end.reason), message);
  const { inodes } = await spaceOf(volume.path, 0);
  assert.ok((inodes?.free ?? 0) >= 60 - 10, `${inodes?.free} are left`);
  const { space } = await rig.gateway.call(storageStatus, {});
  assert.deepEqual([space.low, space.inodes?.reserve], [true, 60]);

  const { id, claim } = begun;
  await rig.gateway.call(commitBlob, { id, claim, digest: digestOf(bytesOf('begun')), repository });
  await rig.gateway.call(deleteTag, { repository, tag: 'v1' });
  assert.ok((await rig.gateway.readManifest(repository, manifest)).byteLength > 0);
  await rig.restart();
  await assert.rejects(
    rig.gateway.call(startUpload, { repository, by: 'a', hold: false }, { behalf: 'b' }),
    fault('no-space'),
  );
});

test('reads and deletions continue after another process has taken all inodes', async (t) => {
  await using volume = await smallVolume(64, 3_000);
  if (!volume) return t.skip(NEEDS_MOUNT);
  const data = join(volume.path, 'data');
  await using rig = await Rig.open(buses, data);
  rig.configure({ reserve: 0 });
  await rig.syncer.pushImage(repository, 'one', { tag: 'v1' });
  await new Ballast(data).take(await spaceOf(data, 0));
  await rig.stop();
  await volume.fillInodes(0);
  await rig.start();
  await rig.syncer.call(deleteTag, { repository, tag: 'v1' });
  assert.deepEqual((await rig.syncer.call(listTags, { repository, limit: 10 })).tags, []);
});

test('inodes are held only if enough are free, and released only if almost none are', async (t) => {
  await using volume = await smallVolume(64, 3_000);
  if (!volume) return t.skip(NEEDS_MOUNT);
  const ballast = new Ballast(volume.path);
  const isHeld = () => existsSync(join(volume.path, 'ballast-inodes'));
  const space = { free: 64 * MIB, reserve: 0 };
  await ballast.take({ ...space, inodes: { free: 600, reserve: 100 } });
  assert.equal(isHeld(), false);
  await ballast.take({ ...space, inodes: { free: 700, reserve: 100 } });
  assert.equal(isHeld(), true);
  assert.equal(await ballast.giveBack({ free: 64 * MIB, inodes: { free: 100, reserve: 100 } }), false);
  assert.equal(await ballast.giveBack({ free: 64 * MIB, inodes: { free: 0, reserve: 100 } }), true);
  assert.equal(isHeld(), false);
  assert.equal(await ballast.giveBack({ free: 64 * MIB }), false);
});
