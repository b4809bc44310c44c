import assert from 'node:assert/strict';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Read, readAt } from '../../../services/storage/repair/copy.ts';
import { RebuiltRecords } from '../../../services/storage/repair/rebuilt-records.ts';
import { repairMetadata } from '../../../services/storage/repair/repair-metadata.ts';
import { Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** A manifest is trusted only if its bytes match its digest. */

const buses = await sharedBuses();

const app = 'line/app';
const forged = `sha256:${'f'.repeat(64)}`;

function fileOf(rig: Rig, digest: string): string {
  const hex = digest.slice('sha256:'.length);
  return join(rig.data, 'blobs/sha256', hex.slice(0, 2), hex);
}

/** The same JSON with the digest of another layer. */
async function forge(path: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  await rm(path);
  await writeFile(path, text.replace(/sha256:[^"]+(?="[^"]+"size":7)/, forged));
  assert.notEqual(await readFile(path, 'utf8'), text);
}

const failing =
  (path: string): Read =>
  async (file, buffer, position) => {
    if ((await file.stat()).ino !== (await stat(path)).ino) return readAt(file, buffer, position);
    throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
  };

async function lostIn(rig: Rig, read?: Read): Promise<string[]> {
  const options = { data: rig.data, hints: [], open: true, force: true, now: new Date(0), read };
  return ((await repairMetadata(options)) as { report: { lost: string[] } }).report.lost;
}

for (const cause of ['has other bytes', 'is unreadable']) {
  test(`a manifest whose file ${cause} keeps its record and its tag, and its content can be supplied again`, async () => {
    await using rig = await Rig.open(buses);
    const digest = await rig.gateway.pushImage(app, 'layer 1', { tag: 'v1' });
    await rig.stop();
    const path = fileOf(rig, digest);
    if (cause === 'has other bytes') await forge(path);
    const lost = await lostIn(rig, cause === 'is unreadable' ? failing(path) : undefined);
    assert.ok(lost.includes(`manifest ${app}@${digest}: until the parent or a client supplies it again`));
    {
      await using records = await RebuiltRecords.open(join(rig.data, 'metadata'));
      for (const key of [`m!${app}!${digest}`, `d!${digest}`]) assert.ok(await records.has(key), key);
      assert.equal(await records.get(`t!${app}!v1`), digest);
      assert.equal(await records.has(`b!${digest}`), false);
      for (const key of [`l!${app}!${forged}`, `d!${forged}`]) assert.equal(await records.has(key), false);
    }
    await rig.start();
    assert.equal(await rig.gateway.pushImage(app, 'layer 1'), digest);
    await rig.gateway.readManifest(app, 'v1');
  });
}

test('a manifest whose record is lost is not restored from other bytes', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.pushImage(app, 'layer 1', { tag: 'v1' });
  await rig.stop();
  await forge(fileOf(rig, digest));
  {
    await using records = await RebuiltRecords.open(join(rig.data, 'metadata'));
    await records.write([{ type: 'del', key: `m!${app}!${digest}` }]);
  }
  const lost = await lostIn(rig);
  assert.ok(lost.some((line) => line.startsWith(`content ${digest}, `)));
  assert.ok(lost.some((line) => line.startsWith(`tag ${app}:v1, `)));
  {
    await using records = await RebuiltRecords.open(join(rig.data, 'metadata'));
    assert.equal(await records.has(`m!${app}!${digest}`), false);
    assert.equal(await records.has(`d!${digest}`), true);
  }
  await rig.start();
});
