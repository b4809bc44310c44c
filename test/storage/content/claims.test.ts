import assert from 'node:assert/strict';
import { access, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  abortUpload,
  CLAIM_RENEW_MS,
  CLAIM_TTL_MS,
  claimTransfer,
  claimUpload,
  commitBlob,
  discardIngest,
  releaseClaim,
  renewClaim,
  startUpload,
  uploadStatus,
} from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { type Buses, bytesOf, connectAll, digestOf, fault, Rig } from '../rig.ts';

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

const repository = 'lib/app';
const content = bytesOf('what is transferred');
const transfer = { digest: digestOf(content), size: content.byteLength };

test('an upload begun without hold is free, and one begun with hold is not', async () => {
  await using rig = await Rig.open(buses);
  const free = await rig.gateway.call(startUpload, { repository, by: 'a', hold: false });
  const claimed = await rig.gateway.call(claimUpload, { repository, id: free.id, by: 'a' });
  assert.equal(claimed.offset, 0);
  const held = await rig.gateway.call(startUpload, { repository, by: 'a', hold: true });
  await assert.rejects(
    rig.gateway.call(claimUpload, { repository, id: held.id, by: 'a' }),
    fault('busy', { until: rig.now + CLAIM_TTL_MS }),
  );
});

test('one claim at a time, also for one client that asks twice at once', async () => {
  await using rig = await Rig.open(buses);
  const asked = await Promise.allSettled(
    Array.from({ length: 8 }, () => rig.syncer.call(claimTransfer, { ...transfer, by: 'same' })),
  );
  assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const answer of asked) if (answer.status === 'rejected') assert.ok(fault('busy')(answer.reason));
});

test('a renewed claim lives on; one that is not can be taken over, and its holder is told', async () => {
  await using rig = await Rig.open(buses);
  const first = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  rig.now += CLAIM_TTL_MS - 1;
  await rig.syncer.call(renewClaim, first);
  rig.now += CLAIM_TTL_MS - 1;
  await assert.rejects(rig.syncer.call(claimTransfer, { ...transfer, by: 'b' }), fault('busy'));
  rig.now += 1;
  const second = await rig.syncer.call(claimTransfer, { ...transfer, by: 'b' });
  assert.equal(second.clean, false);
  for (const request of [renewClaim, releaseClaim, discardIngest]) {
    await assert.rejects(rig.syncer.call(request, first), fault('claim-lost'));
  }
  await assert.rejects(
    rig.syncer.call(commitBlob, { id: first.id, claim: first.claim, digest: transfer.digest }),
    fault('claim-lost'),
  );
  assert.deepEqual(await rig.syncer.call(renewClaim, second), {});
});

test('a claim past its time is good until somebody takes it over', async () => {
  await using rig = await Rig.open(buses);
  const claim = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  rig.now += 10 * CLAIM_TTL_MS;
  await rig.syncer.call(renewClaim, claim);
  await assert.rejects(rig.syncer.call(claimTransfer, { ...transfer, by: 'b' }), fault('busy'));
});

test('a clock that is set back keeps nobody waiting for an hour', async () => {
  await using rig = await Rig.open(buses);
  const first = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  rig.now -= 3_600_000;
  // Its holder may still say that it lives …
  await rig.syncer.call(renewClaim, first);
  await assert.rejects(rig.syncer.call(claimTransfer, { ...transfer, by: 'b' }), fault('busy'));
  rig.now -= 3_600_000;
  // … and where it does not, the claim is over.
  assert.equal((await rig.syncer.call(claimTransfer, { ...transfer, by: 'b' })).clean, false);
});

test('released in good order, an ingest is clean for the next; not released, it never is again', async () => {
  await using rig = await Rig.open(buses);
  const first = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  assert.equal(first.clean, true);
  await rig.syncer.write(first, content.subarray(0, 4));
  await rig.syncer.call(releaseClaim, first);
  const second = await rig.syncer.call(claimTransfer, { ...transfer, by: 'b' });
  assert.deepEqual([second.clean, second.offset, second.id], [true, 4, first.id]);
  rig.now += CLAIM_TTL_MS;
  const third = await rig.syncer.call(claimTransfer, { ...transfer, by: 'b' });
  assert.equal(third.clean, false);
  await rig.syncer.call(releaseClaim, third);
  assert.equal((await rig.syncer.call(claimTransfer, { ...transfer, by: 'b' })).clean, false);
});

test('a transfer of another size begins anew', async () => {
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

test('what is committed is not transferred, and a transfer of it goes', async () => {
  await using rig = await Rig.open(buses);
  const claim = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  await rig.gateway.push(repository, content);
  await assert.rejects(rig.syncer.call(claimTransfer, { ...transfer, by: 'b' }), fault('exists'));
  await assert.rejects(rig.syncer.call(renewClaim, claim), fault('claim-lost'));
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
});

test('discard and abort throw away folder and record', async () => {
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

test('an upload is known in its own repository only, and a transfer is no upload', async () => {
  await using rig = await Rig.open(buses);
  const { id } = await rig.gateway.uploaded(repository, content);
  const { id: other } = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  for (const query of [
    { repository: 'lib/other', id },
    { repository, id: other },
    { repository, id: 'upload-0' },
  ]) {
    await assert.rejects(rig.gateway.call(uploadStatus, query), fault('upload-unknown'));
    await assert.rejects(rig.gateway.call(claimUpload, { ...query, by: 'a' }), fault('upload-unknown'));
    await assert.rejects(rig.gateway.call(abortUpload, query), fault('upload-unknown'));
  }
});

test('the status of an upload is what lies on the disk', async () => {
  await using rig = await Rig.open(buses);
  const claim = await rig.gateway.uploaded(repository, content);
  rig.now += 1_000;
  await rig.gateway.call(renewClaim, claim);
  const status = await rig.gateway.call(uploadStatus, { repository, id: claim.id });
  assert.deepEqual(status, { offset: content.byteLength, touched: rig.now });
});

test('while it is committed an ingest is busy, and its holder need not renew', async () => {
  await using rig = await Rig.open(buses);
  const held = await rig.gateway.uploaded(repository, content);
  const { id, claim } = held;
  const inside = Promise.withResolvers<void>();
  const failure = new Error('the commit fails');
  const begun = Promise.withResolvers<void>();
  const commit = rig.storage.ingests.commit(id, claim, async () => {
    begun.resolve();
    await inside.promise;
    throw failure;
  });
  await begun.promise;
  rig.now += 2 * CLAIM_TTL_MS;
  assert.deepEqual(await rig.gateway.call(renewClaim, held), {});
  await assert.rejects(rig.gateway.call(claimUpload, { repository, id, by: 'b' }), fault('busy'));
  inside.resolve();
  await assert.rejects(commit, failure);
  // Its time begins anew with the failure.
  await assert.rejects(rig.gateway.call(claimUpload, { repository, id, by: 'b' }), fault('busy'));
});

test('a restart keeps claims, and gives those that ran out meanwhile time to be renewed', async () => {
  await using rig = await Rig.open(buses);
  const claim = await rig.syncer.call(claimTransfer, { ...transfer, by: 'a' });
  await rig.stop();
  rig.now += 2 * CLAIM_TTL_MS;
  await rig.start();
  rig.now += CLAIM_RENEW_MS;
  await assert.rejects(rig.syncer.call(claimTransfer, { ...transfer, by: 'b' }), fault('busy'));
  await rig.syncer.call(renewClaim, claim);
  await rig.syncer.write(claim, content);
  await rig.syncer.call(commitBlob, { id: claim.id, claim: claim.claim, digest: transfer.digest });
});

test('the status names ingests and who holds them', async () => {
  await using rig = await Rig.open(buses);
  const { id } = await rig.syncer.call(claimTransfer, { ...transfer, by: 'syncer-9' });
  const touched = rig.now;
  const entry = { id, purpose: 'transfer', ...transfer, touched };
  assert.deepEqual((await rig.syncer.call(storageStatus, {})).ingests, [{ ...entry, holder: 'syncer-9' }]);
  rig.now += CLAIM_TTL_MS;
  assert.deepEqual((await rig.syncer.call(storageStatus, {})).ingests, [entry]);
});
