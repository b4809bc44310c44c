import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAIM_TTL_MS } from '#proto/content/ingests.ts';
import { bytesOf, digestOf, fault } from '../../samples.ts';
import { by, type ContentHarness, content, read, repository, write } from './content-harness.ts';

/** Idle claims: between the requests of an upload, its holder resumes it, or another writer gets it at once. */

export function idleClaims(make: () => Promise<ContentHarness>): void {
  // A digest that the content does not have shows whose hash was trusted.
  const published = digestOf(bytesOf('what the writer says'));
  const trusts = async (at: ContentHarness, { id, claim }: { id: string; claim: string }) => {
    const query = { id, claim, digest: published, hashed: published, repository };
    return at.store.blobs.commit(query).then(
      () => true,
      (error) => !fault('digest-invalid')(error),
    );
  };

  test('a new upload is written and committed under its idle claim alone', async () => {
    await using at = await make();
    const claim = await at.store.ingests.startUpload({ repository, by, hold: false });
    assert.equal(claim.offset, 0);
    for (const [from, end] of [
      [0, 4],
      [4, content.byteLength],
    ] as const) {
      assert.equal(await at.resume(claim), true);
      await write(at, claim, content.subarray(from, end), from);
      assert.equal(await at.suspend(claim), true);
    }
    assert.equal(await trusts(at, claim), true);
  });

  test('an idle claim is resumed by one of many, and while it is active the upload is busy', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const claim = await ingests.startUpload({ repository, by, hold: false });
    const resumed = await Promise.all(Array.from({ length: 8 }, () => at.resume(claim)));
    assert.equal(resumed.filter(Boolean).length, 1);
    const other = { repository, id: claim.id, by: 'another' };
    await assert.rejects(ingests.claimUpload(other), fault('busy', { leftMs: CLAIM_TTL_MS }));
    at.now += CLAIM_TTL_MS - 1;
    await ingests.renew(claim);
    at.now += CLAIM_TTL_MS - 1;
    await assert.rejects(ingests.claimUpload(other), fault('busy'));
    assert.equal(await at.suspend(claim), true);
    await ingests.claimUpload(other);
  });

  test('of a holder that resumes and writers that claim the upload at once, one gets it', async () => {
    await using at = await make();
    for (let round = 0; round < 20; round += 1) {
      const claim = await at.store.ingests.startUpload({ repository, by, hold: false });
      const others = ['b', 'c', 'd'].map((name) =>
        at.store.ingests.claimUpload({ repository, id: claim.id, by: name }).then(
          () => true,
          (error) => !fault('busy')(error),
        ),
      );
      const got = await Promise.all([at.resume(claim), ...others]);
      assert.equal(got.filter(Boolean).length, 1, got.join());
    }
  });

  test('an upload whose claim is idle is granted to another writer in good order, and its holder has lost it', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const first = await ingests.startUpload({ repository, by, hold: false });
    assert.equal(await at.resume(first), true);
    await write(at, first, content.subarray(0, 4));
    assert.equal(await at.suspend(first), true);
    const second = await ingests.claimUpload({ repository, id: first.id, by });
    assert.equal(second.offset, 4);
    assert.deepEqual([await at.resume(first), await at.suspend(first)], [false, false]);
    await assert.rejects(ingests.renew(first), fault('claim-lost'));
    const query = { id: first.id, claim: first.claim, digest: digestOf(content), repository };
    await assert.rejects(blobs.commit(query), fault('claim-lost'));
    await write(at, second, content.subarray(4), 4);
    assert.equal(await trusts(at, second), true, 'it is clean');
  });

  test('an active claim past its time is taken over, and its holder can make it idle no more', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const first = await ingests.startUpload({ repository, by, hold: false });
    await at.resume(first);
    await write(at, first, content.subarray(0, 4));
    at.now += CLAIM_TTL_MS;
    const second = await ingests.claimUpload({ repository, id: first.id, by });
    assert.deepEqual([await at.suspend(first), await at.resume(first)], [false, false]);
    await write(at, second, content.subarray(4), 4);
    assert.equal(await trusts(at, second), false, 'it is unclean');
    const { id, claim } = second;
    await blobs.commit({ id, claim, digest: digestOf(content), repository });
    assert.deepEqual(await read(at, repository, digestOf(content)), content);
  });

  test('the hash of a writer is trusted if no other has written, and not after another has', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const untouched = await ingests.startUpload({ repository, by: 'another', hold: false });
    const only = await ingests.claimUpload({ repository, id: untouched.id, by });
    await write(at, only, content);
    assert.equal(await trusts(at, only), true);
    const begun = await ingests.startUpload({ repository, by: 'another', hold: false });
    await at.resume(begun);
    await write(at, begun, content);
    await at.suspend(begun);
    assert.equal(await trusts(at, await ingests.claimUpload({ repository, id: begun.id, by })), false);
  });

  test('a restart of storage keeps an idle claim: its holder or another writer continues at once', async () => {
    await using at = await make();
    const claims = await Promise.all(
      [1, 2].map(() => at.store.ingests.startUpload({ repository, by, hold: false })),
    );
    const [mine, other] = claims as [(typeof claims)[0], (typeof claims)[0]];
    await at.restart();
    assert.equal(await at.resume(mine), true);
    await write(at, mine, content);
    assert.equal(await trusts(at, mine), true);
    await at.store.ingests.claimUpload({ repository, id: other.id, by: 'another' });
  });

  test('after a restart of the machine an idle claim proves nothing: the content is hashed', async () => {
    await using at = await make();
    const claim = await at.store.ingests.startUpload({ repository, by, hold: false });
    await at.resume(claim);
    await write(at, claim, content);
    await at.suspend(claim);
    await at.reboot();
    const again = await at.store.ingests.claimUpload({ repository, id: claim.id, by });
    assert.equal(await trusts(at, again), false);
  });

  test('a deleted upload can be neither resumed nor made idle', async () => {
    await using at = await make();
    const { ingests } = at.store;
    for (const isActive of [false, true]) {
      const claim = await ingests.startUpload({ repository, by, hold: false });
      if (isActive) await at.resume(claim);
      await ingests.abortUpload({ repository, id: claim.id });
      assert.deepEqual([await at.resume(claim), await at.suspend(claim)], [false, false]);
    }
  });
}
