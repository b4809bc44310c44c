import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { accountsStatus } from '#proto/accounts/accounts.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { listUnsent } from '#proto/sync/outgoing.ts';
import { reportText } from '../../../services/storage/repair/repair-report.ts';
import { LOST_AND_FOUND } from '../../../services/storage/repair/restore-manifests.ts';
import { digestOf, imageOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { app, fileOf, repair } from './repair-rig.ts';

/**
 * If metadata is lost, content is kept and access is refused until an operator decides; the report lists accounts that
 * may have changed, and content can't forge it.
 */

const buses = await sharedBuses();

test('if all metadata is lost, content is kept and all access is refused', async () => {
  await using rig = await Rig.open(buses);
  const image = await rig.gateway.pushImage(app, 'kept', { tag: 'v1' });
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  await assert.rejects(rig.start(), /has lost its metadata/);
  const { notes } = await repair(rig);
  assert.ok(notes.some((note) => /all access is refused until a token exists/.test(note)));
  await rig.start();
  assert.equal(digestOf(await rig.gateway.readManifest(LOST_AND_FOUND, image)), image);
  const { manifests } = await rig.syncer.call(listUnsent, { limit: 10 });
  assert.deepEqual(manifests, [], 'nothing is sent to the parent');
  assert.equal((await rig.gateway.call(accountsStatus, {})).tokens, 1);
  assert.equal((await rig.gateway.call(storageStatus, {})).closed, true);
  await rig.storage.accounts.create({ name: 'ci', actions: ['repositories/*/content/read'] });
  await rig.storage.accounts.delete('ci');
  assert.equal(
    (await rig.gateway.call(accountsStatus, {})).tokens,
    0,
    'from then on the layer is as before the repair',
  );
});

test("content from clients can't forge a line of the report, or control a terminal", async () => {
  await using rig = await Rig.open(buses);
  await rig.gateway.pushImage(app, 'forging');
  const annotations = { 'org.opencontainers.image.title': 'app\nLost:\n  all of it\u001b[2J\u202e' };
  await rig.gateway.pushManifest(app, imageOf('forging', { annotations }));
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  const report = await repair(rig);
  const text = reportText(report);
  assert.match(text, /, app Lost: {3}all of it \[2J ,/);
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  assert.equal(text.match(/^Lost:$/gm)?.length, 1);
  assert.equal(await readFile(join(report.oldMetadata, '../report.txt'), 'utf8'), `${text}\n`);
});

test('a layer that had no accounts is open again if the operator says so', async () => {
  await using rig = await Rig.open(buses);
  await rig.stop();
  await rm(join(rig.data, 'metadata'), { recursive: true });
  await repair(rig, { open: true });
  await rig.start();
  assert.equal((await rig.gateway.call(accountsStatus, {})).tokens, 0);
});

test('an account whose deletion or last change may be lost is listed', async () => {
  await using rig = await Rig.open(buses);
  const { accounts } = rig.storage;
  for (const name of ['deleted', 'disabled']) {
    await accounts.create({ name, actions: ['repositories/*/content/read'] });
  }
  await rig.restart();
  await rig.storage.accounts.delete('deleted');
  await rig.storage.accounts.change({ name: 'disabled', enabled: false });
  await rig.stop();
  const path = await fileOf(rig, '.log');
  const log = await readFile(path);
  for (const text of ['a!deleted', 'a!disabled']) {
    const at = log.indexOf(text) - 10;
    log[at] = (log[at] as number) ^ 0x01;
  }
  await writeFile(path, log);
  const { lost } = await repair(rig);
  assert.deepEqual(lost.filter((line) => /token/.test(line)).sort(), [
    'the deletion of token deleted: it exists again',
    'the last change of token disabled: it has its previous value',
  ]);
});
