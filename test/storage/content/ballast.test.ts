import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { deleteTag, listTags } from '#proto/content/manifests.ts';
import { Ballast } from '#proto/volume/ballast.ts';
import { smallVolume } from '../../support/small-volume.ts';
import { Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const MIB = 1024 * 1024;
const NEEDS_MOUNT = 'needs the right to mount';
const buses = await sharedBuses();

test('reads and deletions continue after another process has filled the volume completely', async (t) => {
  await using volume = await smallVolume(64);
  if (!volume) return t.skip(NEEDS_MOUNT);
  const data = join(volume.path, 'data');
  const repository = 'lib/app';
  await using rig = await Rig.open(buses, data);
  rig.configure({ reserve: 0 });
  await rig.syncer.pushImage(repository, 'one', { tag: 'v1' });
  await rig.syncer.pushImage(repository, 'two', { tag: 'v2' });
  await new Ballast(data).take({ free: 64 * MIB, reserve: 0 });
  await rig.stop();
  await volume.fill(0);
  await rig.start();
  await rig.syncer.call(deleteTag, { repository, tag: 'v1' });
  const { tags } = await rig.syncer.call(listTags, { repository, limit: 10 });
  assert.deepEqual(
    tags.map(({ tag }) => tag),
    ['v2'],
  );
});

test('the ballast is taken only if space above the reserve is left, and released only if almost none is free', async (t) => {
  await using volume = await smallVolume(64);
  if (!volume) return t.skip(NEEDS_MOUNT);
  const ballast = new Ballast(volume.path);
  await ballast.take({ free: 40 * MIB, reserve: 32 * MIB });
  assert.deepEqual(await readdir(volume.path), []);
  await Promise.all([
    ballast.take({ free: 64 * MIB, reserve: 16 * MIB }),
    ballast.take({ free: 64 * MIB, reserve: 16 * MIB }),
  ]);
  assert.deepEqual(await readdir(volume.path), ['ballast']);
  assert.equal(await ballast.giveBack({ free: 8 * MIB }), false);
  assert.equal(await ballast.giveBack({ free: 1 * MIB }), true);
  assert.equal(await ballast.giveBack({ free: 1 * MIB }), false);
  assert.deepEqual(await readdir(volume.path), []);
});

test('an incomplete ballast of a killed process is released, too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-ballast-'));
  await writeFile(join(folder, 'ballast.new'), 'x');
  await mkdir(join(folder, 'ballast-inodes.new'));
  const ballast = new Ballast(folder);
  assert.equal(await ballast.giveBack({ free: 0, inodes: { free: 0, reserve: 0 } }), true);
  assert.deepEqual(await readdir(folder), []);
  await rm(folder, { recursive: true });
});

test('taking the ballast is aborted when storage stops, and leaves no incomplete file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-ballast-'));
  const end = new AbortController();
  const ballast = new Ballast(folder);
  const space = { free: 64 * MIB, reserve: 0, inodes: { free: 100_000, reserve: 0 } };
  const taking = ballast.take(space, end.signal);
  end.abort();
  await taking;
  assert.deepEqual(await readdir(folder), []);
  await ballast.take(space);
  assert.deepEqual((await readdir(folder)).sort(), ['ballast', 'ballast-inodes']);
  await rm(folder, { recursive: true });
});
