import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import type { BlobPlace } from '#proto/content/blobs.ts';
import { CLAIM_RENEW_MS, CLAIM_TTL_MS, type Claim } from '#proto/content/ingests.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import type { ContentCollector, ContentStore } from '../../../services/storage/content/content-store.ts';
import { bytesOf, digestOf, fault, random } from '../samples.ts';

/** An ingest that a writer has open, whether or not it still holds the claim. */
export type OpenIngest = AsyncDisposable & {
  write(bytes: Uint8Array, position: number): Promise<void>;
  sync(): Promise<void>;
};

/** A content store to test, empty at first, with its writers, its readers and its clock. */
export interface ContentHarness extends AsyncDisposable {
  /** Both clocks of the store, in ms. */
  now: number;
  /** Events that the store published, in order: `[type, data]`. */
  readonly events: [type: string, data: unknown][];
  /** After a restart, another one. */
  readonly store: ContentStore;
  readonly garbage: ContentCollector;
  status(): Promise<Pick<StorageStatus, 'blobs' | 'repositories' | 'ingests'>>;
  open(claim: Claim): Promise<OpenIngest>;
  read(place: BlobPlace): Promise<Uint8Array>;
  restart(): Promise<void>;
  /** A restart as after a restart of the machine, which may lose unsynced writes. */
  reboot(): Promise<void>;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const repository = 'lib/app';
const by = 'writer-1';
const content = bytesOf('what is transferred');
const transfer = { digest: digestOf(content), size: content.byteLength };
const absent = digestOf(bytesOf('not here'));
const layer = bytesOf('layer');
const nothing = { links: 0, blobs: 0, bytes: 0, ingests: 0, repositories: 0, strays: 0 };

async function write(at: ContentHarness, claim: Claim, bytes: Uint8Array, position = 0): Promise<void> {
  await using file = await at.open(claim);
  await file.write(bytes, position);
}

/** A held upload with these bytes in it. */
async function uploaded(at: ContentHarness, repository: string, bytes: Uint8Array): Promise<Claim> {
  const claim = await at.store.ingests.startUpload({ repository, by, hold: true });
  await write(at, claim, bytes);
  return claim;
}

/** Uploads and commits a blob. @returns its digest */
async function push(
  at: ContentHarness,
  repository: string,
  bytes: Uint8Array,
  digest = digestOf(bytes),
): Promise<string> {
  const { id, claim } = await uploaded(at, repository, bytes);
  await at.store.blobs.commit({ id, claim, digest, repository, hashed: digestOf(bytes) });
  return digest;
}

async function read(at: ContentHarness, repository: string, digest: string): Promise<Uint8Array> {
  return new Uint8Array(await at.read(await at.store.blobs.locate(repository, digest)));
}

async function collect(at: ContentHarness) {
  const { dryRun: _, ms: __, ...found } = await at.garbage.collect(false);
  return found;
}

/**
 * The contract of a content store: every implementation of `ContentStore` passes it.
 * @param name of the implementation
 * @param make returns a new, empty store
 */
export function contentSuite(name: string, make: () => Promise<ContentHarness>): void {
  describe(name, () => {
    commits(make);
    claims(make);
    transfers(make);
    links(make);
    garbage(make);
  });
}

function commits(make: () => Promise<ContentHarness>): void {
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

function claims(make: () => Promise<ContentHarness>): void {
  test('an upload that is started without `hold` can be claimed; one with `hold` is busy', async () => {
    await using at = await make();
    const { ingests } = at.store;
    const free = await ingests.startUpload({ repository, by: 'a', hold: false });
    const claimed = await ingests.claimUpload({ repository, id: free.id, by: 'a' });
    assert.equal(claimed.offset, 0);
    const held = await ingests.startUpload({ repository, by: 'a', hold: true });
    await assert.rejects(
      ingests.claimUpload({ repository, id: held.id, by: 'a' }),
      fault('busy', { until: at.now + CLAIM_TTL_MS }),
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
}

function transfers(make: () => Promise<ContentHarness>): void {
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

function links(make: () => Promise<ContentHarness>): void {
  test('a repository that never had a link is unknown; one that lost its links is not', async () => {
    await using at = await make();
    const { blobs } = at.store;
    const digest = await push(at, 'lib/a', bytesOf('a'));
    await assert.rejects(blobs.locate('lib', digest), fault('name-unknown', { repository: 'lib' }));
    await assert.rejects(blobs.locate('lib/a-b', digest), fault('name-unknown'));
    await blobs.unlink('lib/a', digest);
    await assert.rejects(blobs.locate('lib/a', digest), fault('blob-unknown', { digest }));
    await assert.rejects(blobs.unlink('lib/a', digest), fault('blob-unknown'));
    await assert.rejects(blobs.unlink('lib/b', digest), fault('name-unknown'));
  });

  test('content that no repository links is not missing, and can be linked again', async () => {
    await using at = await make();
    const { blobs } = at.store;
    const digest = await push(at, 'lib/a', bytesOf('a'));
    await blobs.unlink('lib/a', digest);
    assert.deepEqual(await blobs.missing([digest, absent, digest]), [absent]);
    await blobs.link('lib/b', [digest]);
    assert.deepEqual(await read(at, 'lib/b', digest), bytesOf('a'));
  });

  test('a mount links only blobs that the other repository links, and all of them or none', async () => {
    await using at = await make();
    const a = await push(at, 'lib/a', bytesOf('a'));
    const b = await push(at, 'lib/b', bytesOf('b'));
    const mount = (digests: string[], from?: string) => at.store.blobs.link('lib/new', digests, from);
    await assert.rejects(mount([a, b], 'lib/a'), fault('blob-unknown', { digest: b }));
    await assert.rejects(mount([a], 'lib/nothing'), fault('blob-unknown', { digest: a }));
    await assert.rejects(mount([a, absent]), fault('blob-unknown', { digest: absent }));
    await assert.rejects(read(at, 'lib/new', a), fault('name-unknown'));
    await mount([a], 'lib/a');
    await mount([a, b]);
    assert.ok(await read(at, 'lib/new', b));
  });

  test('linking no blobs creates no repository', async () => {
    await using at = await make();
    await at.store.blobs.link('lib/new', []);
    assert.equal((await at.status()).repositories, 0);
  });
}

function garbage(make: () => Promise<ContentHarness>): void {
  test('a push of many hours keeps its first layer while its repository is used or has an open upload', async () => {
    await using at = await make();
    await push(at, repository, layer);
    for (let hour = 0; hour < 5; hour += 1) {
      at.now += HOUR - 1;
      await push(at, repository, bytesOf(`layer ${hour}`));
      assert.deepEqual(await collect(at), nothing);
    }
    await uploaded(at, repository, bytesOf('slow'));
    at.now += 20 * HOUR;
    assert.deepEqual(await collect(at), nothing);
    at.now += 4 * HOUR + CLAIM_TTL_MS;
    const { links, ingests } = await collect(at);
    assert.deepEqual([links, ingests], [6, 1], 'both end once the upload is abandoned');
  });

  test('a blob that was reported as present stays for one grace', async () => {
    await using at = await make();
    const { blobs } = at.store;
    const digest = await push(at, repository, layer);
    await blobs.unlink(repository, digest);
    at.now += HOUR - 1;
    assert.deepEqual(await blobs.missing([digest]), []);
    at.now += HOUR - 1;
    await collect(at);
    await blobs.link(repository, [digest]);
    assert.deepEqual(await read(at, repository, digest), layer);
  });

  test('transferred content that nothing names is deleted in the end', async () => {
    await using at = await make();
    const { blobs, ingests } = at.store;
    const digest = digestOf(layer);
    const claim = await ingests.claimTransfer({ digest, size: layer.byteLength, by: 'a' });
    await write(at, claim, layer);
    await blobs.commit({ id: claim.id, claim: claim.claim, digest });
    at.now += 30 * DAY;
    assert.equal((await collect(at)).blobs, 1);
    assert.deepEqual(await blobs.missing([digest]), [digest]);
  });
}
