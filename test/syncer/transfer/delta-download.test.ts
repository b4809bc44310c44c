import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import type { Bus } from '#proto/bus/bus.ts';
import { listArriving } from '#proto/content/arriving.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import { type HeldDelta, listDeltas } from '#proto/content/deltas.ts';
import { type Claim, claimTransfer, releaseClaim } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { MadeBy } from '#proto/volume/chunk-log.ts';
import { TransferCounters } from '../../../services/syncer/counters/transfer-counters.ts';
import { type Extent, Extents } from '../../../services/syncer/link/answers/extents.ts';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import { FailedDeltas } from '../../../services/syncer/transfer/failed-deltas.ts';
import { ChunkLog } from '../../../services/syncer/transfer/pieces/chunk-log.ts';
import type { DeltaApplication } from '../../../services/syncer/transfer/pieces/delta-applier.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';
import { runDelta, runDownload } from '../../../services/syncer/transfer/worker.ts';
import { type Buses, connectAll, digestOf, Rig, random } from '../../storage/rig.ts';

/** Transfers with a delta: it crosses the link, and is applied. If any of that fails, the blob itself crosses. */

const repository = 'app';
const log = { debug() {}, info() {}, warn() {}, error() {} };

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

/** A parent that has a blob and a delta to it, and a syncer whose deltas are applied by writing the blob. */
class World implements AsyncDisposable {
  readonly rig: Rig;
  readonly target = Buffer.from(random(600_000));
  readonly bytes = Buffer.from(random(50_000));
  readonly delta: HeldDelta;
  /** Bytes that crossed the link, by digest. */
  readonly crossed = new Map<Digest, number>();
  readonly events: { type: string; data: Record<string, unknown> }[] = [];
  readonly counters = new TransferCounters();
  readonly failedDeltas = new FailedDeltas();
  stop = new AbortController();
  applied = 0;
  isMadeWrong = false;
  /** Instead of the application. */
  applying: ((application: DeltaApplication) => Promise<void>) | undefined;
  /** Answers instead of the parent. */
  answering: ((digest: Digest) => void) | undefined;
  /** Ends an answer after half of its bytes. */
  breaking: Fault | undefined;

  static async create(): Promise<World> {
    return new World(await Rig.open(buses));
  }

  private constructor(rig: Rig) {
    this.rig = rig;
    const record = { to: digestOf(this.target) as Digest, toSize: this.target.length, format: 1 };
    const from = [`sha256:${'b'.repeat(64)}`];
    const own = { digest: digestOf(this.bytes) as Digest, size: this.bytes.length };
    this.delta = { ...record, from, kind: 'raw', cpuMs: 5, ...own };
  }

  get #job() {
    const { to: digest, toSize: size } = this.delta;
    return { repository, digest, size, direction: 'down' as const, pass: 'p', delta: this.delta };
  }

  get #deps() {
    const bus = {
      call: this.rig.syncer.call.bind(this.rig.syncer),
      publish: ({ type }: { type: string }, data: Record<string, unknown>) =>
        this.events.push({ type, data }),
    } as unknown as Bus;
    const source = async () => ({ blob: this.#answer.bind(this) });
    const activity = {
      counters: this.counters,
      moved() {},
      begin: () => ({
        crosses() {},
        attempts() {},
        reached() {},
        copied() {},
        waits() {},
        [Symbol.dispose]() {},
      }),
    };
    const applier = { applyInto: this.#apply.bind(this) };
    const { volume } = this.rig.syncer;
    const link = { parent: source, deltas: source, slots: new Slots(2), bandwidth: UNLIMITED };
    const { failedDeltas } = this;
    return { ...link, bus, volume, by: 's', activity, applier, failedDeltas, log, signal: this.stop.signal };
  }

  run(until?: number) {
    return runDownload(this.#deps, { ...this.#job, ...(until !== undefined && { until }) });
  }

  plain() {
    const { delta: _, ...job } = this.#job;
    return runDownload(this.#deps, job);
  }

  /** Leaves parts of the blob in its ingest, as a process does that was killed. */
  async leave(...parts: [start: number, end: number, by?: MadeBy][]): Promise<void> {
    const { syncer } = this.rig;
    const { to: digest, toSize: size } = this.delta;
    const claim = await syncer.call(claimTransfer, { repository, digest, size, by: 'killed' });
    await this.#log(claim, parts);
    await syncer.call(releaseClaim, { id: claim.id, claim: claim.claim });
  }

  async #log(claim: Claim, parts: [start: number, end: number, by?: MadeBy][]): Promise<void> {
    const { volume } = this.rig.syncer;
    await using file = await volume.openIngest(claim);
    await using log = await ChunkLog.open(await volume.openLog(claim));
    for (const [start, end, by] of parts) {
      const bytes = this.target.subarray(start, end);
      await file.write([by && this.isMadeWrong ? random(bytes.length) : bytes], start);
      const written = Buffer.alloc(bytes.length);
      await file.read(written, start);
      await log.append({ start, end, crc: crc32(written), ...(by && { by }) });
    }
  }

  prefetch() {
    return runDelta(this.#deps, this.#job);
  }

  async isHere(digest = this.delta.to): Promise<boolean> {
    return (await this.rig.syncer.call(missingBlobs, { digests: [digest] })).digests.length === 0;
  }

  get types(): string[] {
    return this.events.map(({ type }) => type);
  }

  async #apply(application: DeltaApplication) {
    this.applied += 1;
    await this.applying?.(application);
    const { file, log } = application.target;
    const present = log.chunks.length > 0;
    for (const { start, end } of new Extents(log.chunks).missing(this.target.length)) {
      const bytes = this.target.subarray(start, end);
      await file.write([bytes], start);
      await log.append({ start, end, crc: crc32(bytes), by: 'delta' });
    }
    return { hashed: present ? undefined : this.delta.to, cpuMs: 7, ms: 9 };
  }

  async #answer(_: string, digest: Digest, _size: number, { start, end }: Extent) {
    this.answering?.(digest);
    const content = digest === this.delta.digest ? this.bytes : this.target;
    const { crossed, breaking } = this;
    this.breaking = undefined;
    const sent = breaking ? (start + end) >> 1 : end;
    const body = async function* () {
      crossed.set(digest, (crossed.get(digest) ?? 0) + sent - start);
      yield Buffer.from(content.subarray(start, sent));
      if (breaking) throw breaking;
    };
    return { start, ranged: true, body: { destroy() {}, [Symbol.asyncIterator]: body } };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.rig[Symbol.asyncDispose]();
  }
}

const unknown = (digest: Digest) => {
  throw new Fault('blob-unknown', `${digest} is not here`);
};

test('the delta crosses the link, is kept for the layers below, and makes the blob', async () => {
  await using world = await World.create();
  const { digest, size, to } = world.delta;
  const listed: unknown[] = [];
  world.answering = () => void world.rig.gateway.call(listArriving, {}).then((answer) => listed.push(answer));
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual([...world.crossed], [[digest, size]]);
  assert.deepEqual(world.types, [
    'transfer.started',
    'transfer.progressed',
    'delta.applied',
    'transfer.finished',
  ]);
  const finished = world.events.at(-1)?.data;
  assert.deepEqual(finished?.delta, { digest, size });
  assert.equal(finished?.digest, to);
  assert.deepEqual(finished?.saved, { by: 'delta', bytes: 550_000, cpuMs: 7 });
  assert.deepEqual(world.counters.down.saved.delta, { transfers: 1, bytes: 550_000, cpuMs: 7 });
  assert.equal(world.counters.deltas.metrics.outcomes.applied, 1);
  assert.equal(world.counters.down.bytes.new, size);
  const { deltas } = await world.rig.syncer.call(listDeltas, { to: [to] });
  assert.deepEqual(
    deltas.map((one) => one.digest),
    [digest],
  );
  assert.partialDeepStrictEqual(listed, [{ blobs: [], deltas: [{ digest, repository, delta: { to } }] }]);
});

test('what failed after the delta had arrived is repeated without the link', async () => {
  await using world = await World.create();
  world.applying = () => {
    world.stop.abort(new Error('the process ends'));
    throw world.stop.signal.reason;
  };
  assert.deepEqual(await world.run(), { retryMs: 0 });
  assert.ok(!(await world.isHere()));
  assert.ok(await world.isHere(world.delta.digest));
  world.stop = new AbortController();
  world.applying = undefined;
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual([...world.crossed], [[world.delta.digest, world.delta.size]]);
});

test('a delta that the parent no longer has is no failure: the blob itself crosses the link', async () => {
  await using world = await World.create();
  world.answering = (digest) => digest === world.delta.digest && unknown(digest);
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual([...world.crossed], [[world.delta.to, world.delta.toSize]]);
  const finished = world.events.at(-1);
  assert.equal(finished?.type, 'transfer.finished');
  assert.equal(finished?.data.delta, undefined);
  assert.equal(finished?.data.saved, undefined);
  assert.ok(!world.types.includes('transfer.failed'));
});

test('a delta that makes other bytes is reported and not used again, and the blob itself crosses the link', async () => {
  await using world = await World.create();
  world.applying = () => Promise.reject(new Fault('delta-invalid', 'other bytes'));
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.equal(world.crossed.get(world.delta.to), world.delta.toSize);
  assert.ok(world.types.includes('delta.mismatched'));
  assert.equal(world.counters.deltas.metrics.outcomes.mismatched, 1);
  const { deltas, refused } = await world.rig.syncer.call(listDeltas, { to: [world.delta.to] });
  assert.deepEqual(deltas, []);
  assert.partialDeepStrictEqual(refused, [{ to: world.delta.to, reason: 'wrong' }]);
});

test('a delta that takes too much memory is not held against the pair', async () => {
  await using world = await World.create();
  world.applying = () => Promise.reject(new Fault('too-large', 'memory'));
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.ok(!world.types.includes('delta.mismatched'));
  assert.deepEqual(world.counters.deltas.metrics.failures, { 'too-large': 1 });
  const { refused } = await world.rig.syncer.call(listDeltas, { to: [world.delta.to] });
  assert.deepEqual(refused, []);
});

test('a prefetch of a delta leaves the blob to the pass if it fails', async () => {
  await using world = await World.create();
  world.answering = (digest) => digest === world.delta.digest && unknown(digest);
  assert.equal(await world.prefetch(), 'done');
  assert.ok(!(await world.isHere()));
  assert.equal(world.types.at(-1), 'transfer.failed');
});

test('while another one has the ingest of the delta or of the blob, the job is put back', async () => {
  for (const which of ['delta', 'target'] as const) {
    await using world = await World.create();
    const { digest, size, ...delta } = world.delta;
    const query = which === 'delta' ? { digest, size, delta } : { digest: delta.to, size: delta.toSize };
    await world.rig.syncer.call(claimTransfer, { ...query, by: 'other' });
    const verdict = await world.run();
    assert.ok(typeof verdict === 'object' && verdict.retryMs > 0);
    assert.deepEqual([world.applied, world.crossed.size], [0, 0]);
  }
});

test('a window that closes does not end an application', async () => {
  await using world = await World.create();
  const until = Date.now() + 300;
  world.applying = async () => {
    while (Date.now() <= until + 50) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  assert.equal(await world.run(until), 'done');
  assert.equal(world.types.at(-1), 'transfer.finished');
  assert.ok(await world.isHere());
});

test('a volume that is full for a moment costs neither the bytes of the delta nor its application', async () => {
  await using world = await World.create();
  world.breaking = new Fault('no-space', 'the data volume is full');
  world.applying = async () => {
    if (world.applied === 1) throw new Fault('no-space', 'the data volume is full');
  };
  assert.equal(await world.run(), 'done');
  assert.equal(world.applied, 2);
  assert.deepEqual([...world.crossed], [[world.delta.digest, world.delta.size]]);
  const delayed = world.events.filter(({ type }) => type === 'transfer.delayed').map(({ data }) => data.code);
  assert.deepEqual(delayed, ['no-space', 'no-space']);
  assert.ok(!world.types.includes('delta.failed'));
});

test('a delta whose process crashed is applied once more, and then the blob itself crosses the link', async () => {
  for (const [crashes, applied] of [
    [1, 2],
    [9, 2],
  ] as const) {
    await using world = await World.create();
    world.applying = async () => {
      if (world.applied > crashes) return;
      throw new Fault('unavailable', 'the process of the delta crashed', { detail: { crashed: true } });
    };
    assert.equal(await world.run(), 'done');
    assert.equal(world.applied, applied);
    assert.ok(await world.isHere());
    const isFailed = crashes > 1;
    assert.equal(world.types.includes('delta.failed'), isFailed);
    assert.equal(world.crossed.has(world.delta.to), isFailed);
  }
});

test('a delta that does not come after all attempts is replaced by the blob, and is not tried again at once', async () => {
  await using world = await World.create();
  const detail = { retryAfterMs: 60 * 60_000 };
  let asked = 0;
  world.answering = (digest) => {
    if (digest === world.delta.digest) asked += 1;
    throw new Fault('parent-unreachable', 'the parent answers 503', { detail });
  };
  assert.equal(await world.run(), 'done');
  assert.equal(world.types.at(-1), 'transfer.failed');
  assert.ok(asked > 0);
  asked = 0;
  world.answering = (digest) => {
    if (digest === world.delta.digest) asked += 1;
  };
  assert.equal(await world.run(), 'done');
  assert.equal(asked, 0);
  assert.deepEqual([...world.crossed], [[world.delta.to, world.delta.toSize]]);
  assert.equal(world.types.at(-1), 'transfer.finished');
});

test('what a killed process had received, copied, or made by a delta is counted as that', async () => {
  await using world = await World.create();
  await world.leave([0, 100_000], [100_000, 400_000, 'frames']);
  assert.equal(await world.plain(), 'done');
  assert.ok(await world.isHere());
  assert.deepEqual([...world.crossed], [[world.delta.to, 200_000]]);
  const { reused, new: fresh, again } = world.counters.down.bytes;
  assert.deepEqual([reused, fresh, again], [100_000, 200_000, 0]);
  assert.partialDeepStrictEqual(world.events[0], {
    type: 'transfer.started',
    data: { present: 400_000, made: 300_000 },
  });
  assert.deepEqual(world.events.at(-1)?.data.saved, { by: 'frames', bytes: 300_000 });
  assert.equal(world.counters.down.saved.frames.bytes, 300_000);
});

test('a delta saves what neither it nor parts of the blob brought, over a kill of its application', async () => {
  await using world = await World.create();
  await world.leave([0, 100_000], [200_000, 300_000, 'delta']);
  assert.equal(await world.run(), 'done');
  assert.ok(await world.isHere());
  assert.partialDeepStrictEqual(world.events.at(-1)?.data.saved, { by: 'delta', bytes: 450_000 });
});

test('what a delta made before it failed is saved, apart from its own bytes', async () => {
  await using world = await World.create();
  await world.leave([200_000, 300_000, 'delta']);
  world.applying = () => Promise.reject(new Fault('too-slow', 'time'));
  assert.equal(await world.run(), 'done');
  assert.equal(world.crossed.get(world.delta.to), 500_000);
  assert.deepEqual(world.events.at(-1)?.data.saved, { by: 'delta', bytes: 50_000 });
});

test('wrong bytes that a killed process had made here are replaced, and nothing else comes again', async () => {
  for (const by of ['frames', 'delta'] as const) {
    await using world = await World.create();
    world.isMadeWrong = true;
    await world.leave([0, 100_000], [100_000, 400_000, by]);
    assert.equal(await world.plain(), 'done');
    assert.ok(await world.isHere());
    assert.deepEqual([...world.crossed], [[world.delta.to, 500_000]]);
    assert.equal(world.events.at(-1)?.data.saved, undefined);
  }
});
