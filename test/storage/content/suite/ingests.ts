import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAIM_TTL_MS } from '#proto/content/ingests.ts';
import { bytesOf, fault } from '../../samples.ts';
import {
  absent,
  by,
  type ContentHarness,
  content,
  layer,
  push,
  read,
  repository,
  transfer,
  uploaded,
  write,
} from './content-harness.ts';

/** Ingests as others see them, and what a release or a restart leaves of them and of committed content. */

export function ingests(make: () => Promise<ContentHarness>): void {
  test('an upload exists in its own repository only, and a transfer is not an upload', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const { id } = await uploaded(at, repository, content);
    const { id: other } = await ingests.claimTransfer({ ...transfer, by: 'a' });
    for (const [name, ingest] of [
      ['lib/other', id],
      [repository, other],
      [repository, 'upload-0'],
    ] as const) {
      await assert.rejects(ingests.uploadStatus({ repository: name, id: ingest }), fault('upload-unknown'));
      await assert.rejects(
        ingests.claimUpload({ repository: name, id: ingest, by: 'a' }),
        fault('upload-unknown'),
      );
      await assert.rejects(ingests.abortUpload({ repository: name, id: ingest }), fault('upload-unknown'));
    }
  });

  test('the status of an upload has its size and its last activity', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const claim = await uploaded(at, repository, content);
    at.now += 1_000;
    await ingests.renew(claim);
    const status = await ingests.uploadStatus({ repository, id: claim.id });
    assert.deepEqual(status, { offset: content.byteLength, touched: at.now });
  });

  test('the status lists ingests with their holders', async () => {
    await using at = await make();
    const { id } = await at.store.ingests.claimTransfer({ ...transfer, by: 'syncer-9' });
    const touched = at.now;
    const entry = { id, purpose: 'transfer', ...transfer, touched };
    assert.deepEqual((await at.status()).ingests, [{ ...entry, holder: 'syncer-9' }]);
    at.now += CLAIM_TTL_MS;
    assert.deepEqual((await at.status()).ingests, [entry]);
  });

  test('a released ingest is clean for the next writer; one that was not released stays unclean', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const first = await ingests.claimTransfer({ ...transfer, by: 'a' });
    assert.equal(first.clean, true);
    await write(at, first, content.subarray(0, 4));
    await ingests.release(first);
    const second = await ingests.claimTransfer({ ...transfer, by: 'b' });
    assert.deepEqual([second.clean, second.offset, second.id], [true, 4, first.id]);
    at.now += CLAIM_TTL_MS;
    const third = await ingests.claimTransfer({ ...transfer, by: 'b' });
    assert.equal(third.clean, false);
    await ingests.release(third);
    assert.equal((await ingests.claimTransfer({ ...transfer, by: 'b' })).clean, false);
  });

  test('after a restart of the machine no ingest is clean; after a restart of storage alone it stays clean', async () => {
    await using at = await make();
    const claim = await at.store.ingests.claimTransfer({ ...transfer, by: 'a' });
    await at.store.ingests.release(claim);
    const upload = await uploaded(at, repository, bytesOf('not that'));
    await at.store.ingests.release(upload);
    await at.restart();
    const second = await at.store.ingests.claimTransfer({ ...transfer, by: 'a' });
    assert.equal(second.clean, true);
    await at.store.ingests.release(second);
    await at.reboot();
    assert.equal((await at.store.ingests.claimTransfer({ ...transfer, by: 'a' })).clean, false);
    const { id, claim: token } = await at.store.ingests.claimUpload({ repository, id: upload.id, by });
    const { digest } = transfer;
    await assert.rejects(
      at.store.blobs.commit({ id, claim: token, digest, hashed: digest, repository }),
      fault('digest-invalid'),
    );
  });

  test('committed content is present after a restart of storage or of the machine', async () => {
    await using at = await make();
    const digest = await push(at, repository, layer);
    await at.restart();
    assert.deepEqual(await read(at, repository, digest), layer);
    await at.reboot();
    assert.deepEqual(await read(at, repository, digest), layer);
    assert.deepEqual(await at.store.blobs.missing([digest, absent]), [absent]);
  });
}
