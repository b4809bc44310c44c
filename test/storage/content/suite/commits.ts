import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { CLAIM_TTL_MS } from '#proto/content/ingests.ts';
import { bytesOf, digestOf, fault, random } from '../../samples.ts';
import { by, type ContentHarness, push, read, repository, uploaded, write } from './content-harness.ts';

/** A commit: what storage checks of it, whose hash it trusts, and what is the same if it is repeated. */

export function commits(make: () => Promise<ContentHarness>): void {
  test('a commit by sha512 is verified by storage although the writer hashed with sha256', async () => {
    await using at = await make();
    const bytes = bytesOf('by sha512');
    const digest = digestOf(bytes, 'sha512');
    // `push` passes the sha256 as `hashed`: storage has to compute the sha512 itself.
    await push(at, repository, bytes, digest);
    assert.deepEqual(await read(at, repository, digest), bytes);
    const wrong = `sha512:${'0'.repeat(128)}`;
    await assert.rejects(push(at, repository, bytes, wrong), fault('digest-invalid', { expected: wrong }));
  });

  test('an upload without any write is committed as empty content', async () => {
    await using at = await make();
    const { id, claim } = await at.store.ingests.startUpload({ repository, by: 'g', hold: true });
    const digest = digestOf(new Uint8Array());
    assert.equal(await at.store.blobs.commit({ id, claim, digest, repository }), 0);
    assert.equal((await read(at, repository, digest)).byteLength, 0);
  });

  test('wrong content is refused, stays invisible, and can be corrected under the same claim', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const bytes = bytesOf('right');
    const digest = digestOf(bytes);
    const held = await uploaded(at, repository, bytesOf('wrong'));
    const query = { id: held.id, claim: held.claim, digest, repository };
    const commit = (more: { size?: number } = {}) => blobs.commit({ ...query, ...more });
    await assert.rejects(
      commit(),
      fault('digest-invalid', { expected: digest, found: digestOf(bytesOf('wrong')) }),
    );
    await assert.rejects(commit({ size: 6 }), fault('size-invalid', { expected: 6, found: 5 }));
    await assert.rejects(blobs.locate(repository, digest), fault('name-unknown'));
    assert.deepEqual(at.events, []);
    await ingests.renew(held);
    await write(at, held, bytes);
    assert.equal(await commit({ size: 5 }), 5);
  });

  test('a transfer whose size is not the announced one is refused', async () => {
    await using at = await make();
    const bytes = bytesOf('four');
    const digest = digestOf(bytes);
    const claim = await at.store.ingests.claimTransfer({ digest, size: 5, by: 's' });
    await write(at, claim, bytes);
    const query = { id: claim.id, claim: claim.claim, digest };
    await assert.rejects(at.store.blobs.commit(query), fault('size-invalid'));
  });

  test('a commit links only content that was written: to know its digest is not enough', async () => {
    await using at = await make();
    const digest = await push(at, 'lib/secret', bytesOf('secret'));
    const mine = await push(at, 'lib/mine', bytesOf('mine'));
    for (const bytes of [bytesOf('guess!'), new Uint8Array()]) {
      const { id, claim } = await uploaded(at, 'lib/mine', bytes);
      await assert.rejects(
        at.store.blobs.commit({ id, claim, digest, repository: 'lib/mine' }),
        fault('digest-invalid'),
      );
    }
    await assert.rejects(read(at, 'lib/mine', digest), fault('blob-unknown'));
    assert.ok(await read(at, 'lib/mine', mine));
  });

  test('a commit that is repeated after its answer was lost succeeds; one to another repository does not', async () => {
    await using at = await make();
    const { blobs } = at.store;
    const bytes = bytesOf('again');
    const digest = digestOf(bytes);
    const { id, claim } = await uploaded(at, repository, bytes);
    const query = { id, claim, digest, repository };
    assert.equal(await blobs.commit(query), 5);
    assert.equal(await blobs.commit(query), 5);
    await assert.rejects(blobs.commit({ ...query, repository: 'lib/other' }), fault('claim-lost'));
  });

  test('content that many writers commit at once is committed once', async () => {
    await using at = await make();
    const bytes = new Uint8Array(random(100_000));
    const names = Array.from({ length: 12 }, (_, i) => `lib/n${i % 4}`);
    const digests = await Promise.all(names.map((name) => push(at, name, bytes)));
    assert.equal(at.events.filter(([type]) => type === 'blob.committed').length, 1);
    for (const name of names) assert.deepEqual(await read(at, name, digests[0]!), bytes);
    const { blobs, repositories } = await at.status();
    assert.deepEqual({ blobs, repositories }, { blobs: 1, repositories: 4 });
    assert.deepEqual(await at.store.blobs.repositories(digests[0]!, 9), [...new Set(names)]);
  });

  test('the hash of a single writer is trusted, across claims that it released', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    // A digest that these bytes do not have shows whether storage computed it.
    const digest = digestOf(bytesOf('what the writer says'));
    const first = await uploaded(at, repository, bytesOf('what it '));
    await ingests.release(first);
    const claim = await ingests.claimUpload({ repository, id: first.id, by });
    assert.equal(claim.offset, 8);
    await write(at, claim, bytesOf('wrote'), 8);
    const query = { id: claim.id, claim: claim.claim, digest, hashed: digest, repository };
    assert.equal(await blobs.commit(query), 13);
  });

  test('the hash of one writer among several is not trusted', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const digest = digestOf(bytesOf('what the writer says'));
    const first = await uploaded(at, repository, bytesOf('what it wrote'));
    await ingests.release(first);
    const { id, claim } = await ingests.claimUpload({ repository, id: first.id, by: 'another' });
    const query = { id, claim, digest, hashed: digest, repository };
    await assert.rejects(blobs.commit(query), fault('digest-invalid'));
  });

  test('the hash of a writer whose earlier claim expired is not trusted', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const digest = digestOf(bytesOf('what the writer says'));
    const first = await uploaded(at, repository, bytesOf('what it wrote'));
    at.now += CLAIM_TTL_MS;
    const { id, claim } = await ingests.claimUpload({ repository, id: first.id, by });
    const query = { id, claim, digest, hashed: digest, repository };
    await assert.rejects(blobs.commit(query), fault('digest-invalid'));
  });

  test("a writer that lost its claim can't change committed content, whenever it writes", async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const bytes = random(3_000_000);
    const digest = digestOf(bytes);
    const old = await ingests.claimTransfer({ digest, size: bytes.byteLength, by: 'paused' });
    await using file = await at.open(old);
    await file.write(bytes.subarray(0, 1_000_000), 0);
    at.now += CLAIM_TTL_MS;
    const current = await ingests.claimTransfer({ digest, size: bytes.byteLength, by: 'successor' });
    assert.equal(current.clean, false);
    assert.equal(current.offset, 1_000_000);
    await write(at, current, bytes.subarray(1_000_000), 1_000_000);
    await blobs.commit({ id: current.id, claim: current.claim, digest, repository });
    await file.write(random(3_000_000), 0);
    await file.sync();
    const hash = createHash('sha256').update(await read(at, repository, digest));
    assert.equal(`sha256:${hash.digest('hex')}`, digest);
    await assert.rejects(ingests.renew(old), fault('claim-lost'));
  });
}
