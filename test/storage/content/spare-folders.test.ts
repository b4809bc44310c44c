import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CLAIM_TTL_MS, claimUpload, commitBlob, startUpload } from '#proto/content/ingests.ts';
import { bytesOf, digestOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

/** Folders of finished uploads become those of later ones. */

const buses = await sharedBuses();

const repository = 'lib/app';
const spare = (rig: Rig) => readdir(join(rig.data, 'spare'));

async function commit(
  rig: Rig,
  { id, claim }: { id: string; claim: string },
  content: Uint8Array,
): Promise<void> {
  await rig.gateway.call(commitBlob, { id, claim, digest: digestOf(content), repository });
}

test('the next upload gets the folder of a finished one, with a claim of its own and no bytes', async () => {
  await using rig = await Rig.open(buses);
  const first = bytesOf('first');
  await commit(rig, await rig.gateway.uploaded(repository, first), first);
  assert.equal((await spare(rig)).length, 1);
  const next = await rig.gateway.call(startUpload, { repository, by: 'gateway-1', hold: false });
  assert.deepEqual(await spare(rig), []);
  assert.deepEqual(await readdir(join(rig.data, next.path)), [`idle-${next.claim}`]);
  assert.equal(next.offset, 0);
});

test('a folder in which a writer that lost its claim may still write is deleted', async () => {
  await using rig = await Rig.open(buses);
  const content = bytesOf('content');
  const lost = await rig.gateway.uploaded(repository, content);
  rig.now += 2 * CLAIM_TTL_MS;
  const held = await rig.gateway.call(claimUpload, { repository, id: lost.id, by: 'gateway-2' });
  await commit(rig, held, content);
  assert.deepEqual([await spare(rig), await readdir(join(rig.data, 'ingest'))], [[], []]);
});

test('a folder with other files is deleted', async () => {
  await using rig = await Rig.open(buses);
  const content = bytesOf('content');
  await rig.gateway.push(repository, content);
  // The content is committed already, so that the bytes of the second upload stay in its folder.
  const before = await spare(rig);
  await commit(rig, await rig.gateway.uploaded(repository, content), content);
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
  assert.deepEqual(await spare(rig), before);
});

test('spare folders of an earlier start are deleted', async () => {
  await using rig = await Rig.open(buses);
  const content = bytesOf('content');
  await commit(rig, await rig.gateway.uploaded(repository, content), content);
  const [name = ''] = await spare(rig);
  await writeFile(join(rig.data, 'spare', name, 'data'), 'left by a writer of before');
  await rig.stop();
  await rig.start();
  assert.deepEqual(await spare(rig), []);
});
