import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { locateBlob } from '#proto/content/blobs.ts';
import {
  CLAIM_TTL_MS,
  claimTransfer,
  claimUpload,
  commitBlob,
  releaseClaim,
  renewClaim,
  startUpload,
} from '#proto/content/ingests.ts';
import { type Buses, bytesOf, connectAll, digestOf, fault, Rig, random } from '../rig.ts';

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

const repository = 'lib/app';
const fileOf = (rig: Rig, digest: string) => {
  const [algorithm, hex] = digest.split(':') as [string, string];
  return join(rig.data, 'blobs', algorithm, hex.slice(0, 2), hex);
};

test('a committed blob is there byte for byte, read-only, and its ingest is gone', async () => {
  await using rig = await Rig.open(buses);
  const bytes = random(2_500_000);
  const digest = await rig.gateway.push(repository, bytes);
  const place = await rig.gateway.call(locateBlob, { repository, digest });
  assert.equal(place.size, bytes.byteLength);
  assert.equal(join(rig.data, place.path), fileOf(rig, digest));
  assert.deepEqual(await rig.gateway.read(repository, digest), bytes);
  assert.equal((await stat(fileOf(rig, digest))).mode & 0o777, 0o444);
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
  assert.deepEqual(rig.events, [['blob.committed', { digest, size: bytes.byteLength }]]);
});

test('sha512, and a digest of another algorithm than the one the writer hashed with', async () => {
  await using rig = await Rig.open(buses);
  const bytes = bytesOf('by sha512');
  const digest = digestOf(bytes, 'sha512');
  // `push` says the sha256 as `hashed`: storage has to find the sha512 out by itself.
  await rig.gateway.push(repository, bytes, digest);
  assert.deepEqual(new Uint8Array(await rig.gateway.read(repository, digest)), bytes);
  const wrong = `sha512:${'0'.repeat(128)}`;
  await assert.rejects(
    rig.gateway.push(repository, bytes, wrong),
    fault('digest-invalid', { expected: wrong }),
  );
});

test('an upload that nobody wrote to is empty content', async () => {
  await using rig = await Rig.open(buses);
  const { id, claim } = await rig.gateway.call(startUpload, { repository, by: 'g', hold: true });
  const digest = digestOf(new Uint8Array());
  assert.deepEqual(await rig.gateway.call(commitBlob, { id, claim, digest, repository }), { size: 0 });
  assert.equal((await rig.gateway.read(repository, digest)).byteLength, 0);
});

test('wrong content is refused, stays invisible, and can be put right under the same claim', async () => {
  await using rig = await Rig.open(buses);
  const bytes = bytesOf('right');
  const digest = digestOf(bytes);
  const held = await rig.gateway.uploaded(repository, bytesOf('wrong'));
  const query = { id: held.id, claim: held.claim, digest, repository };
  const commit = (more: { size?: number } = {}) => rig.gateway.call(commitBlob, { ...query, ...more });
  await assert.rejects(
    commit(),
    fault('digest-invalid', { expected: digest, found: digestOf(bytesOf('wrong')) }),
  );
  await assert.rejects(commit({ size: 6 }), fault('size-invalid', { expected: 6, found: 5 }));
  await assert.rejects(rig.gateway.call(locateBlob, { repository, digest }), fault('name-unknown'));
  assert.deepEqual(rig.events, []);
  await rig.gateway.call(renewClaim, held);
  await rig.gateway.write(held, bytes);
  assert.deepEqual(await commit({ size: 5 }), { size: 5 });
});

test('a transfer whose size is not the announced one is refused', async () => {
  await using rig = await Rig.open(buses);
  const bytes = bytesOf('four');
  const digest = digestOf(bytes);
  const claim = await rig.syncer.call(claimTransfer, { digest, size: 5, by: 's' });
  await rig.syncer.write(claim, bytes);
  const query = { id: claim.id, claim: claim.claim, digest };
  await assert.rejects(rig.syncer.call(commitBlob, query), fault('size-invalid'));
});

test('content that is here already is success, keeps its file, and tells nobody', async () => {
  await using rig = await Rig.open(buses);
  const bytes = bytesOf('twice');
  const digest = await rig.gateway.push(repository, bytes);
  const { ino } = await stat(fileOf(rig, digest));
  await rig.gateway.push('lib/other', bytes);
  assert.equal((await stat(fileOf(rig, digest))).ino, ino);
  assert.equal(rig.events.length, 1);
  assert.deepEqual(new Uint8Array(await rig.gateway.read('lib/other', digest)), bytes);
  assert.deepEqual(await readdir(join(rig.data, 'ingest')), []);
});

test('knowing the digest of a blob is not having it: a commit links only what was written', async () => {
  await using rig = await Rig.open(buses);
  const digest = await rig.gateway.push('lib/secret', bytesOf('secret'));
  const mine = await rig.gateway.push('lib/mine', bytesOf('mine'));
  for (const bytes of [bytesOf('guess!'), new Uint8Array()]) {
    const { id, claim } = await rig.gateway.uploaded('lib/mine', bytes);
    await assert.rejects(
      rig.gateway.call(commitBlob, { id, claim, digest, repository: 'lib/mine' }),
      fault('digest-invalid'),
    );
  }
  await assert.rejects(rig.gateway.read('lib/mine', digest), fault('blob-unknown'));
  assert.ok(await rig.gateway.read('lib/mine', mine));
});

test('a commit asked again after its answer was lost succeeds; one that never was does not', async () => {
  await using rig = await Rig.open(buses);
  const bytes = bytesOf('again');
  const digest = digestOf(bytes);
  const { id, claim } = await rig.gateway.uploaded(repository, bytes);
  const query = { id, claim, digest, repository };
  assert.deepEqual(await rig.gateway.call(commitBlob, query), { size: 5 });
  assert.deepEqual(await rig.gateway.call(commitBlob, query), { size: 5 });
  await assert.rejects(
    rig.gateway.call(commitBlob, { ...query, repository: 'lib/other' }),
    fault('claim-lost'),
  );
});

test('the same content committed by many at once is committed once', async () => {
  await using rig = await Rig.open(buses);
  const bytes = random(100_000);
  const names = Array.from({ length: 12 }, (_, i) => `lib/n${i % 4}`);
  const digests = await Promise.all(names.map((name) => rig.gateway.push(name, bytes)));
  assert.equal(rig.events.filter(([type]) => type === 'blob.committed').length, 1);
  for (const name of names) assert.deepEqual(await rig.gateway.read(name, digests[0]!), bytes);
  const { blobs, repositories } = await rig.storage.status();
  assert.deepEqual({ blobs, repositories }, { blobs: 1, repositories: 4 });
});

test('the hash of a lone writer is believed, across claims that it released', async () => {
  await using rig = await Rig.open(buses);
  // A digest that these bytes do not have shows whether storage looked for itself.
  const digest = digestOf(bytesOf('what the writer says'));
  const first = await rig.gateway.uploaded(repository, bytesOf('what it '));
  await rig.gateway.call(releaseClaim, first);
  const claim = await rig.gateway.call(claimUpload, { repository, id: first.id, by: rig.gateway.by });
  assert.equal(claim.offset, 8);
  await rig.gateway.write(claim, bytesOf('wrote'), 8);
  const query = { id: claim.id, claim: claim.claim, digest, hashed: digest, repository };
  assert.deepEqual(await rig.gateway.call(commitBlob, query), { size: 13 });
});

test('the hash of one writer among several is not believed', async () => {
  await using rig = await Rig.open(buses);
  const digest = digestOf(bytesOf('what the writer says'));
  const first = await rig.gateway.uploaded(repository, bytesOf('what it wrote'));
  await rig.gateway.call(releaseClaim, first);
  const { id, claim } = await rig.gateway.call(claimUpload, { repository, id: first.id, by: 'another' });
  const query = { id, claim, digest, hashed: digest, repository };
  await assert.rejects(rig.gateway.call(commitBlob, query), fault('digest-invalid'));
});

test('the hash of a writer whose earlier claim ran out is not believed', async () => {
  await using rig = await Rig.open(buses);
  const digest = digestOf(bytesOf('what the writer says'));
  const first = await rig.gateway.uploaded(repository, bytesOf('what it wrote'));
  rig.now += CLAIM_TTL_MS;
  const by = rig.gateway.by;
  const { id, claim } = await rig.gateway.call(claimUpload, { repository, id: first.id, by });
  const query = { id, claim, digest, hashed: digest, repository };
  await assert.rejects(rig.gateway.call(commitBlob, query), fault('digest-invalid'));
});

test('a writer that lost its claim can not reach committed content, whenever it writes', async () => {
  await using rig = await Rig.open(buses);
  const bytes = random(3_000_000);
  const digest = digestOf(bytes);
  const old = await rig.syncer.call(claimTransfer, { digest, size: bytes.byteLength, by: 'paused' });
  await using file = await rig.syncer.volume.openIngest(old);
  await file.write([bytes.subarray(0, 1_000_000)], 0);
  rig.now += CLAIM_TTL_MS;
  const now = await rig.syncer.call(claimTransfer, { digest, size: bytes.byteLength, by: 'heir' });
  assert.equal(now.clean, false);
  assert.equal(now.offset, 1_000_000);
  await rig.syncer.write(now, bytes.subarray(1_000_000), 1_000_000);
  await rig.syncer.call(commitBlob, { id: now.id, claim: now.claim, digest, repository });
  await file.write([random(3_000_000)], 0);
  await file.sync();
  const hash = createHash('sha256').update(await rig.syncer.read(repository, digest));
  assert.equal(`sha256:${hash.digest('hex')}`, digest);
  await assert.rejects(rig.syncer.call(renewClaim, { id: old.id, claim: old.claim }), fault('claim-lost'));
});

test('a file that a crash left in place is replaced by what was verified', async () => {
  await using rig = await Rig.open(buses);
  const bytes = bytesOf('the right bytes');
  const digest = digestOf(bytes);
  await leave(rig, digest, bytesOf('torn'));
  await assert.rejects(rig.gateway.read(repository, digest), fault('name-unknown'));
  await rig.gateway.push(repository, bytes);
  assert.deepEqual(new Uint8Array(await rig.gateway.read(repository, digest)), bytes);
});

test('a transfer takes over a good file that a crash left in place, and throws a bad one away', async () => {
  await using rig = await Rig.open(buses);
  const good = bytesOf('left in place');
  await leave(rig, digestOf(good), good);
  const claim = (bytes: Uint8Array) =>
    rig.syncer.call(claimTransfer, { digest: digestOf(bytes), size: bytes.byteLength, by: 's' });
  await assert.rejects(claim(good), fault('exists'));
  assert.equal((await rig.storage.status()).bytes, good.byteLength);
  const bad = bytesOf('never arrived');
  await leave(rig, digestOf(bad), bytesOf('never'));
  assert.equal((await claim(bad)).offset, 0);
  await assert.rejects(stat(fileOf(rig, digestOf(bad))), { code: 'ENOENT' });
});

async function leave(rig: Rig, digest: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(fileOf(rig, digest)), { recursive: true });
  await writeFile(fileOf(rig, digest), bytes);
  await chmod(fileOf(rig, digest), 0o444);
}
