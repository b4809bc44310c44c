import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { listArriving, locateArriving } from '#proto/content/arriving.ts';
import { linkBlobs, locateBlob, missingBlobs } from '#proto/content/blobs.ts';
import { findDeltas, listDeltas, locateDelta, refuseDelta } from '#proto/content/deltas.ts';
import { claimTransfer, commitBlob, commitTransfers } from '#proto/content/ingests.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { bytesOf, digestOf, fault, Rig, random } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';
import { absent, app, keepDelta, sampleDelta, sampleWithHeader, transferDelta } from './delta-rig.ts';

const buses = await sharedBuses();

/** A layer with an image of two blobs. */
async function open() {
  const rig = await Rig.open(buses);
  const { gateway, syncer } = rig;
  const old = await gateway.push(app, random(2_000));
  const to = await gateway.push(app, random(2_000));
  const find = (held: string[], wanted = [to], repository = app) =>
    gateway.call(findDeltas, { repository, wanted, held, elsewhere: true });
  return { rig, gateway, syncer, old, to, find };
}

test('a committed delta is found by those who hold its bases, and located', async () => {
  const { rig, gateway, syncer, old, to, find } = await open();
  await using _ = rig;
  const sample = sampleDelta(to, [old], 300);
  const digest = await keepDelta(syncer, sample);
  const { deltas, refused, bases } = await find([old, absent()]);
  assert.deepEqual(deltas, [{ ...sample.delta, digest, size: 300 }]);
  assert.deepEqual(refused, []);
  assert.deepEqual(bases, [{ digest: old, size: 2_000, repositories: [app] }]);
  assert.deepEqual((await find([absent()])).deltas, []);
  const place = await gateway.call(locateDelta, { repository: app, digest });
  assert.deepEqual({ ...place, path: '' }, { ...sample.delta, path: '', size: 300, incomplete: false });
  assert.deepEqual(await readFile(join(rig.data, place.path)), Buffer.from(sample.bytes));
  assert.deepEqual((await gateway.call(missingBlobs, { digests: [digest] })).digests, []);
  await assert.rejects(gateway.call(locateBlob, { repository: app, digest }), fault('blob-unknown'));
  await assert.rejects(gateway.call(locateArriving, { repository: app, digest }), fault('blob-unknown'));
});

test('only the four smallest deltas of a blob are found, the smallest first', async () => {
  const { rig, syncer, old, to, find } = await open();
  await using _ = rig;
  for (const size of [500, 100, 400, 200, 300]) await keepDelta(syncer, sampleDelta(to, [old], size));
  const { deltas } = await find([old]);
  assert.deepEqual(
    deltas.map(({ size }) => size),
    [100, 200, 300, 400],
  );
});

test('a delta is served only in repositories that have its target', async () => {
  const { rig, gateway, syncer, old, to, find } = await open();
  await using _ = rig;
  const other = 'line/other';
  await gateway.push(other, bytesOf('other'));
  const digest = await keepDelta(syncer, sampleDelta(to, [old]));
  assert.deepEqual((await find([old], [to], other)).deltas, []);
  await assert.rejects(gateway.call(locateDelta, { repository: other, digest }), fault('blob-unknown'));
  await gateway.call(linkBlobs, { repository: other, digests: [to] });
  assert.equal((await find([old], [to], other)).deltas.length, 1);
  assert.equal((await gateway.call(locateDelta, { repository: other, digest })).incomplete, false);
});

test('bases are named with the repository that asks, or the first four that link them', async () => {
  const { rig, gateway, old, find } = await open();
  await using _ = rig;
  for (const name of ['e', 'd', 'c', 'b', 'a']) await gateway.push(`lib/${name}`, bytesOf('shared'));
  const shared = await gateway.push('lib/f', bytesOf('shared'));
  const { bases } = await find([shared, old]);
  assert.deepEqual(bases, [
    { digest: shared, size: 6, repositories: ['lib/a', 'lib/b', 'lib/c', 'lib/d'] },
    { digest: old, size: 2_000, repositories: [app] },
  ]);
});

test('a delta in transfer is offered apart from blobs, to the repository that it is for', async () => {
  const { rig, gateway, syncer, old } = await open();
  await using _ = rig;
  const sample = sampleDelta(absent(), [old], 300);
  const { digest, delta } = sample;
  const { path, id, claim } = await transferDelta(syncer, sample);
  const { blobs, deltas = [] } = await gateway.call(listArriving, {});
  assert.deepEqual(blobs, []);
  const [{ attempt, ...arriving } = { attempt: '' }] = deltas;
  assert.match(attempt, /^[0-9a-f]{12}$/);
  assert.deepEqual(arriving, { repository: app, digest, size: 300, delta });
  const place = await gateway.call(locateDelta, { repository: app, digest });
  assert.deepEqual(place, { ...delta, path, size: 300, incomplete: true });
  await assert.rejects(gateway.call(locateDelta, { repository: 'line/x', digest }), fault('blob-unknown'));
  await assert.rejects(gateway.call(locateArriving, { repository: app, digest }), fault('blob-unknown'));

  // Committed, while its target is not: it is still served where it crossed the link for.
  await syncer.call(commitBlob, { id, claim, digest, delta });
  assert.equal((await gateway.call(locateDelta, { repository: app, digest })).incomplete, false);
  await assert.rejects(gateway.call(locateDelta, { repository: 'line/x', digest }), fault('blob-unknown'));
});

test('a delta is served while its target crosses the link', async () => {
  const { rig, gateway, syncer, old } = await open();
  await using _ = rig;
  const target = random(500);
  const sample = { ...sampleDelta(absent(), [old]), repository: 'line/x' };
  const wanted = { digest: sample.delta.to, size: target.byteLength, by: syncer.by };
  const digest = await keepDelta(syncer, sample);
  await assert.rejects(gateway.call(locateDelta, { repository: app, digest }), fault('blob-unknown'));
  await syncer.call(claimTransfer, { ...wanted, repository: app });
  assert.equal((await gateway.call(locateDelta, { repository: app, digest })).incomplete, false);
});

test('a delta in a group of commits stays a delta', async () => {
  const { rig, gateway, syncer, old, to, find } = await open();
  await using _ = rig;
  const sample = sampleDelta(to, [old]);
  const { id, claim } = await transferDelta(syncer, sample);
  const blob = { id, claim, digest: sample.digest, size: sample.bytes.byteLength };
  assert.deepEqual((await syncer.call(commitTransfers, { blobs: [blob] })).answers, [{}]);
  assert.equal((await find([old])).deltas.length, 1);
  const place = gateway.call(locateArriving, { repository: app, digest: sample.digest });
  await assert.rejects(place, fault('blob-unknown'));
});

test('a repeated commit of a delta whose answer was lost succeeds', async () => {
  const { rig, syncer, old, to } = await open();
  await using _ = rig;
  const sample = sampleDelta(to, [old]);
  const { digest, delta } = sample;
  const { id, claim } = await transferDelta(syncer, sample);
  await syncer.call(commitBlob, { id, claim, digest, delta });
  assert.deepEqual(await syncer.call(commitBlob, { id, claim, digest, delta }), { size: 100 });
  assert.equal((await syncer.call(storageStatus, {})).deltas?.count, 1);
});

test('content that is committed already becomes a delta by a claim', async () => {
  const { rig, gateway, syncer, old, to, find } = await open();
  await using _ = rig;
  const sample = sampleWithHeader(to, [old]);
  const digest = await gateway.push(app, sample.bytes);
  await assert.rejects(transferDelta(syncer, sample), fault('exists'));
  const { deltas } = await find([old]);
  assert.deepEqual(deltas, [{ ...sample.delta, digest, size: sample.bytes.byteLength }]);
  assert.deepEqual(await gateway.read(app, digest), Buffer.from(sample.bytes));
});

test('a claim does not make a delta of content that is none, or another one', async () => {
  const { rig, gateway, syncer, old, to, find } = await open();
  await using _ = rig;
  const secret = { ...sampleDelta(to, [old]), bytes: await gateway.read(app, old), digest: old };
  const other = sampleWithHeader(to, [old]);
  await gateway.push('line/other', other.bytes);
  const claims = [
    secret,
    ...[{ to: old }, { from: [to] }, { from: [old, to] }, { toSize: 1 }, { format: DELTA_FORMAT + 1 }].map(
      (more) => ({
        ...other,
        delta: { ...other.delta, ...more },
      }),
    ),
  ];
  for (const claim of claims) await assert.rejects(transferDelta(syncer, claim), fault('exists'));
  assert.deepEqual((await find([old, to], [old, to])).deltas, []);
  for (const { digest } of [secret, other])
    await assert.rejects(gateway.call(locateDelta, { repository: app, digest }), fault('blob-unknown'));
});

test('a pair that is refused as wrong loses its deltas, one that is refused as poor does not', async () => {
  const { rig, gateway, syncer, old, to, find } = await open();
  await using _ = rig;
  const third = await gateway.push(app, random(10));
  const wrong = await keepDelta(syncer, sampleDelta(to, [old, third]));
  const poor = await keepDelta(syncer, sampleDelta(to, [old]));
  await syncer.call(refuseDelta, { to, from: [third, old], format: DELTA_FORMAT, reason: 'wrong' });
  await syncer.call(refuseDelta, { to, from: [third, old], format: DELTA_FORMAT, reason: 'poor' });
  await syncer.call(refuseDelta, { to, from: [old], format: DELTA_FORMAT, reason: 'poor' });
  await syncer.call(refuseDelta, { to, from: [absent()], format: DELTA_FORMAT, reason: 'poor' });
  const { deltas, refused } = await find([old, third]);
  assert.deepEqual(
    deltas.map(({ digest }) => digest),
    [poor],
  );
  const byReason = refused.toSorted((a, b) => a.reason.localeCompare(b.reason));
  assert.deepEqual(byReason, [
    { to, from: [old], format: DELTA_FORMAT, reason: 'poor' },
    { to, from: [third, old], format: DELTA_FORMAT, reason: 'wrong' },
  ]);
  assert.deepEqual((await gateway.call(missingBlobs, { digests: [wrong] })).digests, [wrong], 'at once');
  assert.equal((await gateway.call(storageStatus, {})).deltas?.refused, 3);
  await rig.restart();
  assert.deepEqual((await gateway.call(storageStatus, {})).deltas, { count: 1, bytes: 100, refused: 3 });
});

test('all deltas and refused pairs are listed, page by page', async () => {
  const { rig, gateway, syncer, old, to } = await open();
  await using _ = rig;
  const digests: string[] = [];
  for (let i = 0; i < 3; i += 1) digests.push(await keepDelta(syncer, sampleDelta(to, [old])));
  const other = absent();
  await keepDelta(syncer, sampleDelta(other, [old]));
  await syncer.call(refuseDelta, { to: other, from: [old], format: DELTA_FORMAT, reason: 'poor' });
  const all = await gateway.call(listDeltas, {});
  assert.deepEqual([all.deltas.length, all.refused.length, all.next], [4, 1, undefined]);
  const ofTarget = await gateway.call(listDeltas, { to: [to] });
  assert.deepEqual(
    ofTarget.deltas.map(({ digest }) => digest),
    digests.toSorted(),
  );
  assert.deepEqual(ofTarget.refused, []);
  const [first] = ofTarget.deltas;
  assert.deepEqual([first?.made, first?.used], [rig.now, rig.now]);
  const rest = await gateway.call(listDeltas, { to: [to], after: `delta ${first?.digest}` });
  assert.equal(rest.deltas.length, 2);
});

test('a claim of the content as a blob makes it a blob again', async () => {
  const { rig, gateway, syncer, old, to, find } = await open();
  await using _ = rig;
  const sample = sampleDelta(to, [old]);
  const { digest, bytes } = sample;
  await transferDelta(syncer, sample);
  rig.now += 60_000;
  const blob = { digest, size: bytes.byteLength, by: 'syncer-2', repository: app };
  const again = await syncer.call(claimTransfer, blob);
  await syncer.call(commitBlob, { id: again.id, claim: again.claim, digest });
  assert.deepEqual((await find([old])).deltas, []);
  assert.equal((await gateway.call(locateArriving, { repository: app, digest })).incomplete, false);
});

test('a delta that is here is offered with its target while that is in transfer', async () => {
  const { rig, gateway, syncer, old } = await open();
  await using _ = rig;
  const target = random(2_000);
  const to = digestOf(target);
  const sample = sampleDelta(to, [old], 100, { toSize: 2_000 });
  await keepDelta(syncer, sample);
  assert.deepEqual(await gateway.call(listArriving, {}), { blobs: [] });
  const query = { digest: to, size: 2_000, by: 'syncer-1', repository: app };
  const claim = await syncer.call(claimTransfer, query);
  const { digest, delta } = sample;
  assert.partialDeepStrictEqual(await gateway.call(listArriving, {}), {
    blobs: [{ repository: app, digest: to, size: 2_000 }],
    deltas: [{ repository: app, digest, size: 100, delta }],
  });
  await syncer.write(claim, target);
  await syncer.call(commitBlob, { id: claim.id, claim: claim.claim, digest: to });
  assert.deepEqual(await gateway.call(listArriving, {}), { blobs: [] });
});
