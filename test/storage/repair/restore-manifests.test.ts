import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { listUnsent } from '#proto/sync/outgoing.ts';
import { digestOf, fault, imageOf, indexOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { app, fileOf, repair } from './repair-rig.ts';

/** Manifests that damaged records named are restored from content, with their tags; what is missing is listed. */

const buses = await sharedBuses();

/** Damages the record of the log that contains this text, in the type of its event. */
async function damageAt(rig: Rig, text: string): Promise<void> {
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  const at = log.indexOf('manifest.committed', log.indexOf(text));
  assert.ok(at >= 0, `${text} is in the log`);
  log[at] = (log[at] as number) ^ 0x01;
  await writeFile(path, log);
}

async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => !/^LO(CK|G)/.test(name)).sort();
  const texts = names.map(async (name) => [name, (await readFile(join(folder, name))).toString('base64')]);
  return Object.fromEntries(await Promise.all(texts));
}

test('with one damaged log record, all others are kept, and what it contained is restored from content', async () => {
  await using rig = await Rig.open(buses);
  const digests: string[] = [];
  for (let i = 0; i < 20; i += 1) {
    digests.push(await rig.gateway.pushImage(app, `layer ${i}`, { tag: `v${i}` }));
  }
  await rig.stop();
  // The batch of v7: the record of its manifest, its tag, and its unsent record.
  await damageAt(rig, `m!${app}!${digests[7]}`);
  await assert.rejects(rig.start(), fault('volume-unusable'));
  const before = await contents(join(rig.data, 'metadata'));
  const report = await repair(rig);
  assert.deepEqual(await contents(report.oldMetadata), before, 'the old metadata is unchanged');
  assert.match(report.damage[0]?.what ?? '', /is damaged at byte/);
  assert.deepEqual(report.lost, []);
  assert.ok(report.restored.some((line) => line.startsWith(`manifest ${app}@${digests[7]}`)));
  assert.ok(report.restored.some((line) => line.startsWith(`tag ${app}:v7`)));
  await rig.start();
  for (const [i, digest] of digests.entries()) {
    assert.equal(digestOf(await rig.gateway.readManifest(app, `v${i}`)), digest);
  }
  const { manifests } = await rig.syncer.call(listUnsent, { limit: 100 });
  assert.equal(manifests.length, 20, 'the parent may lack each of them');
});

test('an index restores its manifests, a missing one is listed as lost, and hints restore tags', async () => {
  await using rig = await Rig.open(buses);
  const one = await rig.gateway.pushImage(app, 'one of it');
  const two = await rig.gateway.pushImage(app, 'two of it');
  const sizes = [jsonOf(imageOf('one of it')).length, jsonOf(imageOf('two of it')).length];
  const child = (digest: string, size = 0) => ({ mediaType: mediaTypes.ociManifest, digest, size });
  const index = indexOf(child(one, sizes[0]), child(two, sizes[1]));
  const digest = await rig.gateway.pushManifest(app, index, { mediaType: mediaTypes.ociIndex, tag: 'all' });
  await rig.stop();
  const hex = two.slice('sha256:'.length);
  await rm(join(rig.data, 'blobs/sha256', hex.slice(0, 2), hex));
  await rm(join(rig.data, 'metadata/CURRENT'));
  await damageAt(rig, `m!${app}!${one}`);
  await damageAt(rig, `m!${app}!${digest}`);
  const report = await repair(rig, { hints: [{ repository: app, digest, tag: 'hinted' }] });
  assert.ok(report.lost.some((line) => line.includes(two)));
  await rig.start();
  for (const reference of ['all', 'hinted']) {
    assert.equal(digestOf(await rig.gateway.readManifest(app, reference)), digest);
  }
  assert.equal(digestOf(await rig.gateway.readManifest(app, one)), one);
  await assert.rejects(rig.gateway.readManifest(app, two), fault('manifest-unknown'));
});
