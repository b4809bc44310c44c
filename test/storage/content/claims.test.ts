import assert from 'node:assert/strict';
import { access, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  abortUpload,
  CLAIM_TTL_MS,
  claimTransfer,
  claimUpload,
  discardIngest,
  releaseClaim,
  renewClaim,
  uploadStatus,
} from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { bytesOf, digestOf, fault, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

const repository = 'lib/app';
const content = bytesOf('what is transferred');
const transfer = { digest: digestOf(content), size: content.byteLength };

test('a transfer of another size restarts from 0', async () => {
  await using rig = await Rig.open(buses);
  const first = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  await rig.syncer.write(first, content);
  await writeFile(join(rig.data, first.path, 'chunks'), 'log');
  await rig.syncer.call(releaseClaim, first);
  const size = transfer.size + 1;
  const second = await rig.syncer.call(claimTransfer, { ...transfer, size, by: 'a' });
  assert.deepEqual([second.offset, second.clean], [0, true]);
  await assert.rejects(access(join(rig.data, second.path, 'chunks')), { code: 'ENOENT' });
});

test("committed content can't be transferred, and its transfer is deleted", async () => {
  await using rig = await Rig.open(buses);
  const claim = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  await rig.gateway.push(repository, content);
  await assert.rejects(rig.syncer.call(claimTransfer, { ...transfer, by: 'b' }), fault('exists'));
  await assert.rejects(rig.syncer.call(renewClaim, claim), fault('claim-lost'));
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
});

test('discard and abort delete folder and record', async () => {
  await using rig = await Rig.open(buses);
  const held = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  await rig.syncer.write(held, content);
  await rig.syncer.call(discardIngest, held);
  await assert.rejects(rig.syncer.call(renewClaim, held), fault('claim-lost'));
  const again = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  assert.deepEqual([again.offset, again.clean], [0, true]);
  await rig.syncer.call(discardIngest, again);

  const { id } = await rig.gateway.uploaded(repository, content);
  await rig.gateway.call(abortUpload, { repository, id });
  await assert.rejects(rig.gateway.call(abortUpload, { repository, id }), fault('upload-unknown'));
  await assert.rejects(rig.gateway.call(uploadStatus, { repository, id }), fault('upload-unknown'));
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
  assert.deepEqual((await rig.gateway.call(storageStatus, {})).ingests, []);
});

test('during its commit an ingest is busy, and its claim needs no renewal', async () => {
  await using rig = await Rig.open(buses);
  const held = await rig.gateway.uploaded(repository, content);
  const { id, claim } = held;
  const gate = Promise.withResolvers<void>();
  const failure = new Error('the commit fails');
  const started = Promise.withResolvers<void>();
  const commit = rig.storage.ingests.commit({ id, claim }, async () => {
    started.resolve();
    await gate.promise;
    throw failure;
  });
  await started.promise;
  rig.now += 2 * CLAIM_TTL_MS;
  assert.deepEqual(await rig.gateway.call(renewClaim, held), {});
  await assert.rejects(rig.gateway.call(claimUpload, { repository, id, by: 'b' }), fault('busy'));
  gate.resolve();
  await assert.rejects(commit, failure);
  // The failure starts the time of the claim again.
  await assert.rejects(rig.gateway.call(claimUpload, { repository, id, by: 'b' }), fault('busy'));
});
