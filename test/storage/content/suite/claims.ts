import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAIM_RENEW_MS, CLAIM_TTL_MS } from '#proto/content/ingests.ts';
import { fault } from '../../samples.ts';
import { type ContentHarness, content, HOUR, repository, transfer, write } from './content-harness.ts';

/** Claims: an ingest has one writer at a time, until another one takes over its claim; a restart keeps claims. */

export function claims(make: () => Promise<ContentHarness>): void {
  test('an upload that is started without `hold` can be claimed; one with `hold` is busy', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const free = await ingests.startUpload({ repository, by: 'a', hold: false });
    const claimed = await ingests.claimUpload({ repository, id: free.id, by: 'a' });
    assert.equal(claimed.offset, 0);
    const held = await ingests.startUpload({ repository, by: 'a', hold: true });
    await assert.rejects(
      ingests.claimUpload({ repository, id: held.id, by: 'a' }),
      fault('busy', { leftMs: CLAIM_TTL_MS }),
    );
  });

  test('an ingest has one claim at a time, also for concurrent requests of one client', async () => {
    await using at = await make();
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => at.store.ingests.claimTransfer({ ...transfer, by: 'same' })),
    );
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of results) if (result.status === 'rejected') assert.ok(fault('busy')(result.reason));
  });

  test('a renewed claim stays valid; an expired one can be taken over, and its holder gets claim-lost', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const first = await ingests.claimTransfer({ ...transfer, by: 'a' });
    at.now += CLAIM_TTL_MS - 1;
    await ingests.renew(first);
    at.now += CLAIM_TTL_MS - 1;
    await assert.rejects(ingests.claimTransfer({ ...transfer, by: 'b' }), fault('busy'));
    at.now += 1;
    const second = await ingests.claimTransfer({ ...transfer, by: 'b' });
    assert.equal(second.clean, false);
    for (const request of ['renew', 'release', 'discard'] as const) {
      await assert.rejects(ingests[request](first), fault('claim-lost'));
    }
    await assert.rejects(
      blobs.commit({ id: first.id, claim: first.claim, digest: transfer.digest }),
      fault('claim-lost'),
    );
    await ingests.renew(second);
  });

  test('an expired claim is valid until another writer takes it over', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const claim = await ingests.claimTransfer({ ...transfer, by: 'a' });
    at.now += 10 * CLAIM_TTL_MS;
    await ingests.renew(claim);
    await assert.rejects(ingests.claimTransfer({ ...transfer, by: 'b' }), fault('busy'));
  });

  test('after the clock is set back, a claim can be renewed, and taken over if it is not', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const first = await ingests.claimTransfer({ ...transfer, by: 'a' });
    at.now -= HOUR;
    // Its holder can still renew it …
    await ingests.renew(first);
    await assert.rejects(ingests.claimTransfer({ ...transfer, by: 'b' }), fault('busy'));
    at.now -= HOUR;
    // … and without a renewal, the claim has expired.
    assert.equal((await ingests.claimTransfer({ ...transfer, by: 'b' })).clean, false);
  });

  test('a restart keeps claims, and leaves time to renew those that expired meanwhile', async () => {
    await using at = await make();
    const claim = await at.store.ingests.claimTransfer({ ...transfer, by: 'a' });
    at.now += 2 * CLAIM_TTL_MS;
    await at.restart();
    at.now += CLAIM_RENEW_MS;
    await assert.rejects(at.store.ingests.claimTransfer({ ...transfer, by: 'b' }), fault('busy'));
    await at.store.ingests.renew(claim);
    await write(at, claim, content);
    await at.store.blobs.commit({ id: claim.id, claim: claim.claim, digest: transfer.digest });
  });
}
