import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { storeSession } from '#proto/sync/outgoing.ts';
import { repairMetadata } from '../../../services/storage/repair/repair-metadata.ts';
import { LOST_AND_FOUND } from '../../../services/storage/repair/restore-manifests.ts';
import { random as randomNumbers } from '../../support/time/random.ts';
import { digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { app, now, repair, tagsOf } from './repair-rig.ts';

/** A repair as a whole: when it is refused or has nothing to do, how it is resumed, and damage anywhere. */

const buses = await sharedBuses();

test('a repair touches neither running storage nor undamaged metadata', async () => {
  await using rig = await Rig.open(buses);
  const options = { data: rig.data, hints: [], open: false, force: false, now };
  await assert.rejects(repairMetadata(options), fault('busy'));
  const digest = await rig.gateway.pushImage(app, 'whole', { tag: 'v1' });
  await rig.syncer.call(storeSession, {
    repository: app,
    digest,
    location: '/v2/app/blobs/uploads/1',
    offset: 9,
  });
  await rig.stop();
  assert.deepEqual(await repairMetadata(options), { kind: 'intact' });
  const report = await repair(rig, { force: true });
  assert.deepEqual([report.damage, report.lost, report.restored], [[], [], []]);
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), digest);
});

test('an interrupted repair is restarted or finished', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(app, 'cut', { tag: 'v1' });
  await rig.stop();
  await rm(join(rig.data, 'metadata/CURRENT'));
  const interrupted = join(rig.data, 'repair/2029-01-01');
  await mkdir(join(interrupted, 'rebuilt'), { recursive: true });
  await writeFile(join(interrupted, 'rebuilt/000001.log'), 'half');
  const { oldMetadata } = await repair(rig);
  await assert.rejects(stat(interrupted), { code: 'ENOENT' });
  // As after a power loss between the last two steps.
  await rename(join(rig.data, 'metadata'), join(oldMetadata, '../rebuilt'));
  const options = { data: rig.data, hints: [], open: false, force: false, now };
  assert.deepEqual(await repairMetadata(options), { kind: 'finished', folder: join(oldMetadata, '..') });
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(app, 'v1')), digest);
});

const seed = Number(process.env.TERRACE_SEED) || Date.now() % 1_000_000;
test(`after damage anywhere, all content is present, and tags point to earlier targets only (seed ${seed})`, async () => {
  const draw = randomNumbers(seed);
  const upTo = (limit: number) => Math.floor(draw() * limit);
  for (let round = 0; round < 3; round += 1) {
    await using rig = await Rig.open(buses);
    const targets = new Map<string, Set<string>>();
    const last = new Map<string, string>();
    for (let i = 0; i < 30; i += 1) {
      const [repository, tag] = [`app-${upTo(3)}`, `v${upTo(12)}`];
      const digest = await rig.gateway.pushImage(repository, `content ${round} ${i}`, { tag });
      targets.set(`${repository}:${tag}`, (targets.get(`${repository}:${tag}`) ?? new Set()).add(digest));
      last.set(`${repository}:${tag}`, digest);
      // Some records are in tables, the others in the log.
      if (i === 10) await rig.restart();
    }
    await rig.stop();
    const folder = join(rig.data, 'metadata');
    for (const name of (await readdir(folder)).filter((each) => /^\d|^MANIFEST|^CURRENT/.test(each))) {
      const bytes = await readFile(join(folder, name));
      for (let hit = 0; hit < 2 && draw() < 0.7; hit += 1) bytes[upTo(bytes.length)] = upTo(256);
      await writeFile(join(folder, name), bytes);
    }
    const { lost } = await repair(rig, { force: true });
    await rig.start();
    for (const repository of ['app-0', 'app-1', 'app-2']) {
      for (const { tag } of await tagsOf(rig, repository).catch(() => [])) {
        assert.ok(targets.has(`${repository}:${tag}`), `there never was a tag ${repository}:${tag}`);
      }
    }
    for (const [name, digests] of targets) {
      const [repository = '', tag = ''] = name.split(':');
      const tags = await tagsOf(rig, repository).catch(() => []);
      const found = tags.find((entry) => entry.tag === tag)?.digest;
      assert.ok(found === undefined || digests.has(found), `${name} points to ${found}`);
      if (found !== last.get(name)) {
        assert.ok(
          lost.some((line) => line.includes(name)) || lost.length > 0,
          `${name} is lost, but not listed`,
        );
      }
      for (const digest of digests) {
        const homes = [repository, LOST_AND_FOUND].map((home) =>
          rig.gateway.readManifest(home, digest).then(digestOf, () => undefined),
        );
        assert.ok((await Promise.all(homes)).includes(digest), `${name}@${digest} is missing`);
      }
    }
  }
});
