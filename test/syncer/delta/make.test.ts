import assert from 'node:assert/strict';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { findDeltas, locateDelta } from '#proto/content/deltas.ts';
import { bytesOf as inMemory } from '#proto/delta/bytes/bytes.ts';
import { DELTA_FORMAT, readDeltaHeader } from '#proto/delta/delta.ts';
import { DeltaApplications } from '../../../services/syncer/delta/jobs/delta-applications.ts';
import { DeltaJobs } from '../../../services/syncer/delta/jobs/delta-jobs.ts';
import { noise, text } from '../../proto/delta/blobs.ts';
import { sharedBuses } from '../../storage/shared-buses.ts';
import { app, DeltaRig, layerOf, letters, mixed, oneWorker, versions, workers } from './delta-rig.ts';

const buses = await sharedBuses();

test('a delta is made of the base that a child holds, kept, and not made twice', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  const made = await rig.make(to, [from]);
  assert.deepEqual(
    [made.type, made.from, made.kind, rig.counters.metrics.outcomes.made],
    ['delta.made', [from], 'gzip', 1],
  );
  assert.ok((made.size as number) < 0.1 * next.length, `${made.size} of ${next.length} bytes`);
  const { syncer, data } = rig.storage;
  const { deltas } = await syncer.call(findDeltas, { repository: app, wanted: [to], held: [from] });
  assert.deepEqual(
    deltas.map(({ digest, size, toSize }) => [digest, size, toSize]),
    [[made.digest, made.size, next.length]],
  );
  const { path } = await syncer.call(locateDelta, { repository: app, digest: made.digest as string });
  const header = readDeltaHeader(inMemory(await readFile(join(data, path))));
  assert.equal(header.target.length, next.length);
  assert.deepEqual(await rig.left(), []);
  const again = await rig.make(to, [from]);
  assert.deepEqual([again.type, again.digest, again.ms], ['delta.made', made.digest, 0]);
  assert.equal(rig.counters.metrics.outcomes.made, 1);
});

test('a delta whose file has other bytes than those that were applied is not kept', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  const { volume } = rig.deps;
  const openIngest: typeof volume.openIngest = async (claim) => {
    const file = await volume.openIngest(claim);
    const write = file.write.bind(file);
    file.write = ([first, ...others], position) => {
      const damaged = Buffer.from(first as Uint8Array);
      damaged[0] = (damaged[0] as number) ^ 1;
      return write([damaged, ...others], position);
    };
    return file;
  };
  rig.deps.volume = { openIngest } as typeof volume;
  const { type, code } = await rig.make(to, [from]);
  assert.deepEqual([type, code], ['delta.failed', 'digest-invalid']);
  const { syncer } = rig.storage;
  const query = { repository: app, wanted: [to], held: [from] };
  assert.deepEqual((await syncer.call(findDeltas, query)).deltas, []);
  assert.deepEqual(await rig.left(), []);
});

test('of several candidates, those are chosen that cover the target: of two images, two bases', async () => {
  await using rig = await DeltaRig.open(buses);
  const filesOf = (folder: string, seed: number) =>
    Object.fromEntries(
      Array.from({ length: 8 }, (_, i) => [`${folder}/file-${letters(i)}`, mixed(seed + i)]),
    );
  const system = filesOf('usr', 1);
  const program = filesOf('app', 50);
  const unrelated = await rig.push(layerOf(filesOf('other', 200)));
  const one = await rig.push(layerOf(system));
  const two = await rig.push(layerOf(program));
  const next = layerOf({ ...system, ...program, 'etc/version': text(100) });
  const to = await rig.push(next);
  const made = await rig.make(to, [unrelated, one, two]);
  assert.equal(made.type, 'delta.made');
  assert.deepEqual((made.from as string[]).toSorted(), [one, two].toSorted());
  assert.ok((made.size as number) < 0.1 * next.length, `${made.size} of ${next.length} bytes`);
});

test('what candidates consist of is known after a restart, and they are not read again for the choice', async () => {
  await using rig = await DeltaRig.open(buses);
  rig.settings.timeMs = 20_000;
  const { old, next } = versions(1);
  const { old: other, next: later } = versions(300);
  const unlike = await rig.push(layerOf({ 'etc/other': mixed(7), 'etc/more': mixed(8) }));
  const [from, to] = [await rig.push(old), await rig.push(next)];
  assert.deepEqual((await rig.make(to, [unlike, from])).from, [from]);
  const [base, target] = [await rig.push(other), await rig.push(later)];
  await rig.stall(unlike);
  const restarted = new DeltaJobs(rig.deps, new DeltaApplications(rig.deps));
  await restarted.run(rig.jobFor(target, [unlike, base]), new AbortController().signal);
  assert.deepEqual([rig.last.type, rig.last.from], ['delta.made', [base]]);
});

test('of content without files that changed everywhere, the first candidate is tried', async () => {
  await using rig = await DeltaRig.open(buses);
  const old = noise(1_000_000, 3);
  const next = Buffer.from(old);
  for (let at = 0; at < next.length; at += 4_096) next.writeUInt32LE(at, at);
  const [unlike, first] = [await rig.push(noise(1_000_000, 4)), await rig.push(old)];
  const to = await rig.push(next);
  const made = await rig.make(to, [first, unlike]);
  assert.deepEqual([made.type, made.from], ['delta.made', [first]]);
  assert.ok((made.size as number) < 0.1 * next.length, `${made.size} of ${next.length} bytes`);
});

test('a delta that is hardly smaller than its target is refused, and the pair is not tried again', async () => {
  await using rig = await DeltaRig.open(buses);
  const [from, to] = [
    await rig.push(layerOf({ a: noise(300_000, 1) })),
    await rig.push(layerOf({ a: noise(300_000, 2) })),
  ];
  const failed = await rig.make(to, [from]);
  assert.deepEqual(
    [failed.type, failed.job, failed.poor, failed.code],
    ['delta.failed', 'make', true, 'too-large'],
  );
  const { refused, deltas } = await rig.storage.syncer.call(findDeltas, {
    repository: app,
    wanted: [to],
    held: [from],
  });
  assert.deepEqual([deltas, refused], [[], [{ to, from: [from], format: DELTA_FORMAT, reason: 'poor' }]]);
  assert.deepEqual(await rig.left(), []);
  const begun = rig.counters.metrics.makeMs;
  assert.equal((await rig.make(to, [from])).poor, true);
  assert.equal(rig.counters.metrics.makeMs, begun);
});

test('without a candidate that is like the target, nothing is made', async () => {
  await using rig = await DeltaRig.open(buses);
  const to = await rig.push(layerOf({ 'usr/bin/one': noise(300_000, 1) }));
  const candidates = [
    await rig.push(layerOf({ 'opt/two': noise(300_000, 2) })),
    await rig.push(noise(300_000, 3)),
  ];
  assert.equal((await rig.make(to, candidates)).poor, true);
  const { refused } = await rig.storage.syncer.call(findDeltas, {
    repository: app,
    wanted: [to],
    held: candidates,
  });
  assert.deepEqual(
    refused.map(({ from }) => from),
    [candidates],
  );
});

test('what would take more time or disk than it may is not made, and not tried again', async () => {
  for (const [settings, code] of [
    [{ timeMs: 1 }, 'too-slow'],
    [{ scratch: 1_000 }, 'too-large'],
  ] as const) {
    await using rig = await DeltaRig.open(buses);
    Object.assign(rig.settings, settings);
    const { old, next } = versions();
    const [from, to] = [await rig.push(old), await rig.push(next)];
    const failed = await rig.make(to, [from]);
    assert.deepEqual([failed.type, failed.code, failed.poor], ['delta.failed', code, undefined]);
    const { refused } = await rig.storage.syncer.call(findDeltas, {
      repository: app,
      wanted: [to],
      held: [from],
    });
    assert.deepEqual(
      refused.map((pair) => [pair.from, pair.reason]),
      [[[from], 'poor']],
    );
    assert.deepEqual(await rig.left(), []);
  }
});

test('a delta is not made from damaged content, which is named, nor below the reserve of free space', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  rig.settings.reserve = 2 ** 60;
  assert.equal((await rig.make(to, [from])).code, 'no-space');
  rig.settings.reserve = 1;
  await rig.damage(from);
  const failed = await rig.make(to, [from]);
  assert.equal(failed.code, 'digest-invalid');
  assert.match(failed.reason as string, new RegExp(`^${from} is damaged`));
  const { refused } = await rig.storage.syncer.call(findDeltas, {
    repository: app,
    wanted: [to],
    held: [from],
  });
  assert.deepEqual(refused, []);
});

test('after its worker was killed, a job is retried, and the second time it fails and the pair is not tried again', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  await rig.stall(from);
  const runs: [isRetried: boolean, reasons: string[]][] = [
    [true, []],
    [false, ['poor']],
  ];
  for (const [isRetried, reasons] of runs) {
    const making = rig.run(rig.jobFor(to, [from]));
    process.kill(await oneWorker(15), 'SIGKILL');
    assert.equal((await making) !== 'done', isRetried);
    assert.equal(rig.published.length, isRetried ? 0 : 1);
    const query = { repository: app, wanted: [to], held: [from] };
    const { refused } = await rig.storage.syncer.call(findDeltas, query);
    assert.deepEqual(
      refused.map(({ reason }) => reason),
      reasons,
    );
    assert.deepEqual(await rig.left(), []);
  }
  const { type, code, reason } = rig.last;
  assert.deepEqual([type, code], ['delta.failed', 'unavailable']);
  assert.match(reason as string, /SIGKILL/);
});

test('an aborted job is given back at once, and leaves nothing', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  await rig.stall(from);
  const stop = new AbortController();
  const running = rig.run(rig.jobFor(to, [from]), stop.signal);
  await oneWorker(15);
  stop.abort(new Error('shutdown'));
  assert.deepEqual(await running, { retryMs: 0 });
  assert.deepEqual([await workers(), await rig.left(), rig.published], [[], [], []]);
});

test('old scratch files of a process that was killed are deleted', async () => {
  await using rig = await DeltaRig.open(buses);
  const { old, next } = versions();
  const [from, to] = [await rig.push(old), await rig.push(next)];
  const folder = join(rig.storage.data, 'scratch');
  await mkdir(folder);
  for (const name of ['old', 'new']) await writeFile(join(folder, name), '');
  await utimes(join(folder, 'old'), 1_000, 1_000);
  await rig.made(to, [from], next.length);
  assert.deepEqual(await rig.left(), ['new']);
});
