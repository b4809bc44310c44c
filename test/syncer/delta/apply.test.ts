import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { locateBlob } from '#proto/content/blobs.ts';
import { findDeltas, type HeldDelta, locateDelta } from '#proto/content/deltas.ts';
import { claimTransfer, commitBlob } from '#proto/content/ingests.ts';
import type { IngestFile } from '#proto/volume/volume.ts';
import { ChunkLog } from '../../../services/syncer/transfer/pieces/chunk-log.ts';
import { noise } from '../../proto/delta/blobs.ts';
import { digestOf, fault } from '../../storage/rig.ts';
import { sharedBuses } from '../../storage/shared-buses.ts';
import { app, DeltaRig, oneWorker, versions, workers } from './delta-rig.ts';

const buses = await sharedBuses();

/** A layer that has a delta and its base, and not its target: `below`. Another one, `above`, has made the delta. */
async function open(old: Buffer, next: Buffer) {
  const above = await DeltaRig.open(buses);
  const [from, to] = [await above.push(old), await above.push(next)];
  const delta = await above.made(to, [from], next.length);
  const { syncer, data } = above.storage;
  const { path } = await syncer.call(locateDelta, { repository: app, digest: delta.digest });
  const bytes = await readFile(join(data, path));
  await above[Symbol.asyncDispose]();
  const below = await DeltaRig.open(buses);
  await below.push(old);
  return { below, from, to, delta, bytes };
}

/** Keeps a delta as a transfer does. */
async function keep(
  rig: DeltaRig,
  bytes: Buffer,
  { digest: _, size: __, ...delta }: HeldDelta,
): Promise<HeldDelta> {
  const { syncer } = rig.storage;
  const held = { ...delta, digest: digestOf(bytes), size: bytes.length };
  const { digest, size } = held;
  const claim = await syncer.call(claimTransfer, { repository: app, digest, size, delta, by: 'test' });
  await syncer.write(claim, bytes);
  await syncer.call(commitBlob, { id: claim.id, claim: claim.claim, digest, size, delta });
  return held;
}

/** The target's ingest, open. */
async function target(rig: DeltaRig, { to: digest, toSize: size }: HeldDelta) {
  const { syncer } = rig.storage;
  const claim = await syncer.call(claimTransfer, { repository: app, digest, size, by: 'test' });
  const file = await syncer.volume.openIngest(claim);
  const log = await ChunkLog.open(await syncer.volume.openLog(claim));
  const reached: number[] = [];
  return {
    claim,
    writer: { file, log, progress: (done: number) => void reached.push(done) },
    reached,
    async [Symbol.asyncDispose]() {
      await file[Symbol.asyncDispose]();
      await log[Symbol.asyncDispose]();
    },
  };
}

/** Extents of the log in the order in which they were written; a slow machine logs more often. */
function runsOf(log: ChunkLog): [number, number][] {
  const runs: [number, number][] = [];
  for (const { start, end } of log.chunks) {
    const last = runs.at(-1);
    if (last && last[1] === start) last[1] = end;
    else runs.push([start, end]);
  }
  return runs;
}

const never = new AbortController().signal;

/** The writes wait. */
function hold(file: IngestFile): Disposable {
  const { promise, resolve } = Promise.withResolvers<void>();
  const write = file.write.bind(file);
  file.write = (buffers, position) => promise.then(() => write(buffers, position));
  return { [Symbol.dispose]: resolve };
}

test('a delta is applied into the ingest of its target, whose log has all of it, and which commits by its digest', async () => {
  const { old, next } = versions();
  const { below: rig, to, delta, bytes } = await open(old, next);
  await using _ = rig;
  const held = await keep(rig, bytes, delta);
  await using ingest = await target(rig, held);
  const applied = await rig.applications.applyInto({
    repository: app,
    delta: held,
    target: ingest.writer,
    signal: never,
  });
  assert.equal(applied.hashed, to);
  assert.ok(applied.cpuMs > 0 && applied.ms > 0);
  assert.equal(ingest.reached.at(-1), next.length);
  const { file, log } = ingest.writer;
  assert.deepEqual(runsOf(log), [[0, next.length]]);
  assert.equal(await log.verify(file), 0);
  const { id, claim } = ingest.claim;
  const { syncer, gateway } = rig.storage;
  await syncer.call(commitBlob, { id, claim, digest: to, size: next.length, hashed: to, repository: app });
  assert.deepEqual(Buffer.from(await gateway.read(app, to)), next);
});

test('only bytes that are missing are written', async () => {
  const { old, next } = versions();
  const { below: rig, delta, bytes } = await open(old, next);
  await using _ = rig;
  const held = await keep(rig, bytes, delta);
  await using ingest = await target(rig, held);
  const { file, log } = ingest.writer;
  const [start, end] = [10_000, 50_000];
  await file.write([next.subarray(start, end)], start);
  await log.append({ start, end, crc: crc32(next.subarray(start, end)) });
  const applied = await rig.applications.applyInto({
    repository: app,
    delta: held,
    target: ingest.writer,
    signal: never,
  });
  assert.equal(applied.hashed, undefined);
  assert.deepEqual(runsOf(log), [
    [start, end],
    [0, start],
    [end, next.length],
  ]);
  assert.equal(await log.verify(file), 0);
});

test('a delta that makes other bytes leaves nothing in the log', async () => {
  const old = noise(2_000_000, 1);
  const next = Buffer.concat([old.subarray(0, 1_500_000), noise(1_000, 2), old.subarray(1_500_000)]);
  const { below: rig, delta, bytes } = await open(old, next);
  await using _ = rig;
  // The last bytes are new content: what comes before is written by then.
  bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 1;
  const held = await keep(rig, bytes, delta);
  await using ingest = await target(rig, held);
  const application = { repository: app, delta: held, target: ingest.writer, signal: never };
  await assert.rejects(rig.applications.applyInto(application), fault('delta-invalid'));
  assert.deepEqual(ingest.writer.log.chunks, []);
  assert.ok((await ingest.writer.file.stat()).size > 0);
  const other = { ...held, to: digestOf(old) };
  await assert.rejects(rig.applications.applyInto({ ...application, delta: other }), fault('delta-invalid'));
});

test('a base that is damaged, or is not here, is named', async () => {
  const { old, next } = versions();
  const { below: rig, from, delta, bytes } = await open(old, next);
  await using _ = rig;
  const held = await keep(rig, bytes, delta);
  await using ingest = await target(rig, held);
  const application = { repository: app, delta: held, target: ingest.writer, signal: never };
  await rig.damage(from);
  await assert.rejects(rig.applications.applyInto(application), fault('digest-invalid', { digest: from }));
  const absent = digestOf(noise(10));
  const other = { ...held, from: [absent] };
  await assert.rejects(
    rig.applications.applyInto({ ...application, delta: other }),
    fault('blob-unknown', { digest: absent }),
  );
  assert.deepEqual(ingest.writer.log.chunks, []);
});

test('a process that is killed or aborted leaves in the log what it has written', async () => {
  const old = noise(3_000_000, 1);
  const next = Buffer.concat([noise(1_000, 2), old]);
  const { below: rig, delta, bytes } = await open(old, next);
  await using _ = rig;
  const held = await keep(rig, bytes, delta);
  await using ingest = await target(rig, held);
  const { file, log } = ingest.writer;
  const stop = new AbortController();
  const ends: [(pid: number) => void, object][] = [
    [(pid) => process.kill(pid, 'SIGKILL'), fault('unavailable')],
    [() => stop.abort(new Error('shutdown')), /shutdown/],
  ];
  for (const [end, expected] of ends) {
    const release = hold(file);
    const application = { repository: app, delta: held, target: ingest.writer, signal: stop.signal };
    const applying = rig.applications.applyInto(application);
    end(await oneWorker(5));
    release[Symbol.dispose]();
    await assert.rejects(applying, expected);
    assert.deepEqual(await workers(), []);
    assert.equal(await log.verify(file), 0);
  }
});

test('of several deltas, one at a time is applied', async () => {
  const { old, next } = versions();
  const { below: rig, delta, bytes } = await open(old, next);
  await using _ = rig;
  const held = await keep(rig, bytes, delta);
  await using ingest = await target(rig, held);
  const release = hold(ingest.writer.file);
  const first = rig.applications.applyInto({
    repository: app,
    delta: held,
    target: ingest.writer,
    signal: never,
  });
  const pid = await oneWorker(5);
  const stop = new AbortController();
  const second = rig.applications.applyInto({
    repository: app,
    delta: held,
    target: ingest.writer,
    signal: stop.signal,
  });
  stop.abort(new Error('shutdown'));
  await assert.rejects(second, /shutdown/);
  assert.deepEqual(await workers(), [pid]);
  release[Symbol.dispose]();
  assert.equal((await first).hashed, held.to);
});

test('a delta that a child pushed is applied: the target is in the repository, and the delta is kept', async () => {
  const { old, next } = versions();
  const { below: rig, from, to, delta, bytes } = await open(old, next);
  await using _ = rig;
  const { gateway, syncer } = rig.storage;
  await rig.push(bytes);
  for (const round of [1, 2]) {
    await rig.run({ kind: 'apply', repository: app, delta });
    assert.deepEqual([rig.last.type, rig.last.digest], ['delta.applied', delta.digest], `round ${round}`);
  }
  assert.deepEqual(Buffer.from(await gateway.read(app, to)), next);
  const { deltas } = await syncer.call(findDeltas, { repository: app, wanted: [to], held: [from] });
  assert.deepEqual(
    deltas.map(({ digest }) => digest),
    [delta.digest],
  );
});

test('a pushed delta that makes other bytes is no reason to drop or refuse deltas to what it names', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  const delta = await rig.made(to, [from], next.length);
  const { syncer } = rig.storage;
  const kept = async () => {
    const found = await syncer.call(findDeltas, { repository: app, wanted: [to], held: [from] });
    return [found.deltas.map(({ digest }) => digest), found.refused];
  };
  const bytes = noise(1_000, 9);
  const [repository, digest] = ['line/other', await rig.push(bytes, 'line/other')];
  await rig.push(old, repository);
  const pushed = { ...delta, digest, size: bytes.length };
  await rig.run({ kind: 'apply', repository, delta: pushed });
  assert.deepEqual([rig.last.type, rig.last.code], ['delta.failed', 'delta-invalid']);
  assert.deepEqual(await kept(), [[delta.digest], []]);
});

test('a pushed delta whose target is there is not applied, and so not kept', async () => {
  const { old, next } = versions();
  const { below: rig, from, to, delta, bytes } = await open(old, next);
  await using _ = rig;
  await rig.push(next);
  bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 1;
  const pushed = { ...delta, digest: await rig.push(bytes) };
  await rig.run({ kind: 'apply', repository: app, delta: pushed });
  assert.equal(rig.last.type, 'delta.applied');
  const { syncer } = rig.storage;
  const { deltas } = await syncer.call(findDeltas, { repository: app, wanted: [to], held: [from] });
  assert.deepEqual(deltas, []);
});

test('no pushed delta is applied in a layer that does not take pushes', async () => {
  const { old, next } = versions();
  const { below: rig, to, delta, bytes } = await open(old, next);
  await using _ = rig;
  await rig.push(bytes);
  rig.settings.takesPushes = false;
  await rig.run({ kind: 'apply', repository: app, delta });
  assert.deepEqual([rig.last.type, rig.last.code], ['delta.failed', 'denied']);
  const { syncer } = rig.storage;
  await assert.rejects(syncer.call(locateBlob, { repository: app, digest: to }), fault('blob-unknown'));
});

test('a pushed delta that makes other bytes commits nothing', async () => {
  const { old, next } = versions();
  const { below: rig, from, to, delta, bytes } = await open(old, next);
  await using _ = rig;
  bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 1;
  const digest = await rig.push(bytes);
  await rig.run({ kind: 'apply', repository: app, delta: { ...delta, digest } });
  assert.deepEqual([rig.last.type, rig.last.code], ['delta.failed', 'delta-invalid']);
  assert.deepEqual(rig.published.at(-2)?.[0], 'delta.mismatched');
  const { syncer } = rig.storage;
  await assert.rejects(syncer.call(locateBlob, { repository: app, digest: to }), fault('blob-unknown'));
  const { deltas } = await syncer.call(findDeltas, { repository: app, wanted: [to], held: [from] });
  assert.deepEqual([deltas, await rig.left()], [[], []]);
});
