import assert from 'node:assert/strict';
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Level } from 'level';
import { linkBlobs, locateBlob, missingBlobs } from '#proto/content/blobs.ts';
import { listDamaged } from '#proto/content/maintenance.ts';
import { getManifest, missingManifests } from '#proto/content/manifests.ts';
import { packedSize } from '#proto/contract/packed-size.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { keys } from '../../../services/storage/metadata/keys.ts';
import { bytesOf, digestOf, fault, imageOf, jsonOf, Rig, random } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const layer = bytesOf('layer');
const image = jsonOf(imageOf('layer'));
const fileOf = (rig: Rig, digest: string) =>
  join(rig.data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));

async function overwrite(rig: Rig, digest: string, text: string): Promise<void> {
  await chmod(fileOf(rig, digest), 0o600);
  await writeFile(fileOf(rig, digest), text);
}

const damagedOf = async (rig: Rig) => (await rig.syncer.call(listDamaged, { limit: 100 })).damaged;

test('undamaged content stays and is counted', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'layer');
  await rig.gateway.push(repository, bytesOf(''));
  const { ms: _, ...found } = await rig.storage.scrubber.scrub(1e9);
  const bytes = 2 + layer.byteLength + image.byteLength;
  assert.deepEqual(found, { checked: 4, bytes, damaged: [] });
  assert.deepEqual(await damagedOf(rig), []);
});

test('counters that differ from the records are corrected', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'layer', { tag: 'v1' });
  await rig.stop();
  const level = new Level<string, unknown>(join(rig.data, 'metadata'), { valueEncoding: 'json' });
  await level.put(keys.tag(repository, 'behind'), digestOf(image));
  await level.close();
  await rig.start();
  assert.equal((await rig.gateway.call(storageStatus, {})).tags, 1);
  await rig.storage.scrubber.scrub(1e9);
  assert.equal((await rig.gateway.call(storageStatus, {})).tags, 2);
});

test('damaged content is absent until it is supplied again, and its bytes are in quarantine', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(repository, 'layer', { tag: 'v1' });
  const [blob, config] = [digestOf(layer), digestOf(bytesOf('{}'))];
  await overwrite(rig, blob, 'LAYER');
  await rm(fileOf(rig, config));
  await overwrite(rig, digest, 'shorter');
  const { damaged } = await rig.storage.scrubber.scrub(1e9);
  assert.deepEqual(damaged.sort(), [blob, config, digest].sort());
  assert.deepEqual(rig.events.filter(([type]) => type === 'blob.damaged').length, 3);
  const quarantined = await readdir(join(rig.data, 'quarantine'));
  assert.equal(quarantined.length, 2);
  const file = quarantined.find((name) => name.includes(blob.slice(7)));
  assert.equal(await readFile(join(rig.data, 'quarantine', file!), 'utf8'), 'LAYER');

  const absent = async () => {
    for (const missing of [blob, config]) {
      await assert.rejects(
        rig.gateway.call(locateBlob, { repository, digest: missing }),
        fault('blob-unknown'),
      );
      await assert.rejects(
        rig.gateway.call(linkBlobs, { repository: 'lib/b', digests: [missing] }),
        fault('blob-unknown'),
      );
    }
    for (const reference of ['v1', digest]) {
      await assert.rejects(
        rig.gateway.call(getManifest, { repository, reference }),
        fault('manifest-unknown'),
      );
    }
    const { digests } = await rig.gateway.call(missingBlobs, { digests: [blob, config, digest] });
    assert.deepEqual(digests, [blob, config, digest]);
    const query = { repository, digests: [digest] };
    assert.deepEqual((await rig.gateway.call(missingManifests, query)).digests, [digest]);
    await assert.rejects(rig.gateway.pushManifest(repository, image), fault('manifest-blob-unknown'));
    assert.deepEqual(
      (await damagedOf(rig)).map((each) => [each.digest, each.size, each.repositories, each.mediaType]),
      [
        [blob, layer.byteLength, [repository], undefined],
        [config, 2, [repository], undefined],
        [digest, image.byteLength, [repository], imageOf('layer').mediaType],
      ].sort(),
    );
    const { blobs, damaged } = await rig.gateway.call(storageStatus, {});
    assert.deepEqual([blobs, damaged], [0, 3]);
  };
  await absent();
  await rig.restart();
  await absent();

  await rig.gateway.pushImage(repository, 'layer');
  assert.deepEqual(new Uint8Array(await rig.gateway.readManifest(repository, 'v1')), image);
  assert.deepEqual(new Uint8Array(await rig.gateway.read(repository, blob)), layer);
  assert.deepEqual(await damagedOf(rig), []);
  assert.equal((await rig.gateway.call(storageStatus, {})).damaged, 0);
});

test('garbage collection keeps the links of damaged content, and drops its record once nothing names it', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(repository, 'layer');
  const unnamed = await rig.gateway.push(repository, bytesOf('loose'));
  await rm(fileOf(rig, digestOf(layer)));
  await rm(fileOf(rig, unnamed));
  await rig.storage.scrubber.scrub(1e9);
  rig.now += 86_400_000;
  const { links, blobs } = await rig.storage.garbage.collect(false);
  assert.deepEqual([links, blobs], [1, 0]);
  assert.deepEqual(
    (await damagedOf(rig)).map(({ digest }) => digest),
    [digestOf(layer)],
  );
});

test('a scrub stays within its rate, and one runs at a time', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, random(3_000_000));
  const began = performance.now();
  const first = rig.storage.scrubber.scrub(10_000_000);
  await assert.rejects(rig.storage.scrubber.scrub(), fault('busy'));
  const joined = rig.storage.scrubber.scrub(1, true);
  const { blobs, total, started } = rig.storage.scrubber.progress ?? {};
  assert.deepEqual([blobs, total, started], [1, 3_000_000, rig.now]);
  assert.deepEqual(await joined, await first);
  assert.ok(performance.now() - began >= 280);
  assert.equal(rig.storage.scrubber.progress, undefined);
});

test('a slow scrub is aborted when storage stops', async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.push(repository, random(3_000_000));
  const aborted = assert.rejects(rig.storage.scrubber.scrub(1), fault('unavailable'));
  rig.storage.abortMaintenance();
  await aborted;
});

test('a full page of damaged content fits into one message, also with the longest names', () => {
  const one = {
    digest: digestOf(layer, 'sha512'),
    size: Number.MAX_SAFE_INTEGER,
    repositories: Array(20).fill('a'.repeat(255)),
    mediaType: 'm'.repeat(255),
  };
  const { maximum = 0 } = listDamaged.query.properties.limit;
  assert.ok(packedSize({ damaged: Array(maximum).fill(one), more: true }) < 1024 * 1024);
});

test('metadata that is damaged on disk while storage runs is reported in the answer and in the status', async () => {
  await using rig = await Rig.open(buses);
  for (let i = 0; i < 5; i += 1) await rig.gateway.pushImage('lib/app', `layer ${i}`, { tag: `v${i}` });
  // A restart converts the log to a table.
  await rig.restart();
  const before = await rig.storage.scrubber.scrub();
  assert.equal(before.metadata, undefined);
  const folder = join(rig.data, 'metadata');
  const table = (await readdir(folder))
    .filter((name) => name.endsWith('.ldb'))
    .sort()
    .at(-1) as string;
  const bytes = await readFile(join(folder, table));
  bytes[20] = (bytes[20] as number) ^ 1;
  await writeFile(join(folder, table), bytes);
  const { metadata } = await rig.storage.scrubber.scrub();
  assert.deepEqual(metadata, [`${table} is damaged at byte 0`]);
  assert.deepEqual((await rig.storage.status()).metadata, metadata);
});
