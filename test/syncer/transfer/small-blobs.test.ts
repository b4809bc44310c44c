import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import { CLAIM_TTL_MS, claimTransfer, claimTransfers } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';
import type { Extent } from '../../../services/syncer/link/answers/extents.ts';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';
import { runDownload } from '../../../services/syncer/transfer/worker.ts';
import { type Buses, connectAll, digestOf, Rig, random } from '../../storage/rig.ts';
import { quietActivity } from './quiet-activity.ts';

const repository = 'small/app';
const activity = quietActivity();
const log = { debug() {}, info() {}, warn() {}, error() {} };

let buses: Buses;
before(async () => {
  buses = await connectAll();
});
after(() => buses.server[Symbol.asyncDispose]());

/** A parent with small blobs, and a syncer that counts its requests to storage and records its events. */
class World implements AsyncDisposable {
  readonly rig: Rig;
  readonly contents: Buffer[];
  readonly blobs: { repository: string; digest: Digest; size: number }[];
  /** Requested parts of blobs, by the number of the blob. */
  readonly requested: [blob: number, start: number, end: number][] = [];
  readonly calls: string[] = [];
  readonly events: [string, Digest][] = [];
  readonly resubmitted: TransferJob[] = [];
  /** Content of a blob's first answer, if it differs: shorter for one that breaks. */
  readonly first = new Map<number, Buffer>();
  readonly stop = new AbortController();
  /** Subject of a request to storage that fails. */
  failing: string | undefined;

  static async create(count: number, bytes = 10_000): Promise<World> {
    return new World(await Rig.open(buses), count, bytes);
  }

  private constructor(rig: Rig, count: number, bytes: number) {
    this.rig = rig;
    this.contents = Array.from({ length: count }, () => Buffer.from(random(bytes)));
    this.blobs = this.contents.map((content) => ({
      repository,
      digest: digestOf(content) as Digest,
      size: content.length,
    }));
  }

  get job(): TransferJob {
    const [first, ...others] = this.blobs;
    return { ...first!, direction: 'down', pass: 'p', ...(others.length > 0 && { others }) };
  }

  run(job = this.job) {
    const bus = {
      call: ((contract, query, options) => {
        this.calls.push(contract.subject);
        if (contract.subject === this.failing) return Promise.reject(new Fault('unavailable', 'away'));
        return this.rig.syncer.call(contract, query, options);
      }) as Bus['call'],
      publish: ({ type }: { type: string }, { digest }: { digest: Digest }) =>
        this.events.push([type, digest]),
      submit: async (_: unknown, again: TransferJob) => void this.resubmitted.push(again),
    } as unknown as Bus;
    return runDownload(
      {
        bus,
        volume: this.rig.syncer.volume,
        parent: async () => ({ blob: this.#answer.bind(this) }),
        slots: new Slots(4),
        bandwidth: UNLIMITED,
        by: 'syncer-1',
        activity,
        log,
        signal: this.stop.signal,
      },
      job,
    );
  }

  async missing(): Promise<string[]> {
    const digests = this.blobs.map(({ digest }) => digest);
    return (await this.rig.syncer.call(missingBlobs, { digests })).digests;
  }

  async #answer(_: string, digest: Digest, _size: number, { start, end }: Extent) {
    const number = this.blobs.findIndex((blob) => blob.digest === digest);
    this.requested.push([number, start, end]);
    const content = this.first.get(number) ?? this.contents[number]!.subarray(start, end);
    const isBroken = content.length < end - start;
    this.first.delete(number);
    const body = async function* () {
      yield Buffer.from(content);
      if (isBroken) throw new Fault('parent-unreachable', 'cut');
    };
    return { start, ranged: true, body: { destroy() {}, [Symbol.asyncIterator]: body } };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.rig[Symbol.asyncDispose]();
  }
}

test('a group is claimed and committed with one request each, and every blob is fetched once', async () => {
  await using world = await World.create(5);
  assert.equal(await world.run(), 'done');
  assert.deepEqual(await world.missing(), []);
  assert.deepEqual(world.calls, ['storage.transfer.claim-all', 'storage.transfer.commit-all']);
  assert.deepEqual(
    world.requested.toSorted(([a], [b]) => a - b),
    world.blobs.map(({ size }, i) => [i, 0, size]),
  );
  for (const { digest } of world.blobs) {
    const own = world.events.filter(([, of]) => of === digest).map(([type]) => type);
    assert.deepEqual(own, ['transfer.started', 'transfer.finished']);
  }
});

test('what arrived before a connection broke does not cross the link again', async () => {
  await using world = await World.create(3);
  world.first.set(1, world.contents[1]!.subarray(0, 4_000));
  assert.equal(await world.run(), 'done');
  assert.deepEqual(await world.missing(), []);
  const ofBroken = world.requested.filter(([number]) => number === 1);
  assert.deepEqual(ofBroken, [
    [1, 0, 10_000],
    [1, 4_000, 10_000],
  ]);
});

test('a blob that was written and not committed before a kill does not cross the link again', async () => {
  await using world = await World.create(2);
  const { answers } = await world.rig.syncer.call(claimTransfers, { by: 'killed', blobs: world.blobs });
  for (const [i, { claim }] of answers.entries()) await world.rig.syncer.write(claim!, world.contents[i]!);
  world.rig.now += CLAIM_TTL_MS + 1;
  assert.equal(await world.run(), 'done');
  assert.deepEqual(await world.missing(), []);
  assert.deepEqual(world.requested, []);
});

test('blobs that could not be claimed or committed as a group are transferred by themselves, each byte once', async () => {
  for (const failing of ['storage.transfer.claim-all', 'storage.transfer.commit-all']) {
    await using world = await World.create(3);
    world.failing = failing;
    assert.equal(await world.run(), 'done');
    assert.deepEqual(await world.missing(), []);
    assert.equal(world.requested.length, 3, failing);
    for (const { digest } of world.blobs)
      assert.deepEqual(world.events.filter(([, of]) => of === digest).at(-1)?.[0], 'transfer.finished');
  }
});

test('a group that is stopped leaves its blobs to jobs of their own', async () => {
  await using world = await World.create(3);
  world.stop.abort(new Fault('unavailable', 'the process ends'));
  assert.equal(await world.run(), 'done');
  assert.deepEqual(
    await world.missing(),
    world.blobs.map(({ digest }) => digest),
  );
  assert.equal(world.resubmitted.length, 3);
  assert.deepEqual(world.requested, []);
});

test('a torn blob of a killed syncer is fetched again', async () => {
  await using world = await World.create(1);
  const query = { ...world.blobs[0]!, by: 'killed' };
  const claim = await world.rig.syncer.call(claimTransfer, query);
  await world.rig.syncer.write(claim, Buffer.alloc(10_000, 1));
  world.rig.now += CLAIM_TTL_MS + 1;
  assert.equal(await world.run(), 'done');
  assert.deepEqual(await world.missing(), []);
  assert.deepEqual(world.requested, [[0, 0, 10_000]]);
});

test('wrong bytes are not committed, and concern no other blob of the group', async () => {
  await using world = await World.create(3);
  world.first.set(0, Buffer.alloc(10_000, 7));
  assert.equal(await world.run(), 'done');
  // The second answer is right.
  assert.deepEqual(await world.missing(), []);
  assert.equal(world.requested.filter(([number]) => number === 0).length, 2);
  assert.equal(world.requested.filter(([number]) => number !== 0).length, 2);
});

test('blobs that are here are reported, and one that another syncer holds becomes a job of its own', async () => {
  await using world = await World.create(3);
  await world.run({ ...world.job, others: [] });
  world.events.length = 0;
  await world.rig.syncer.call(claimTransfer, { ...world.blobs[2]!, by: 'other' });
  assert.equal(await world.run(), 'done');
  assert.deepEqual(await world.missing(), [world.blobs[2]!.digest]);
  assert.deepEqual(world.events[0], ['transfer.finished', world.blobs[0]!.digest]);
  assert.deepEqual(world.resubmitted, [{ ...world.blobs[2]!, direction: 'down', pass: 'p' }]);
});

test('a group with larger blobs than the link carries in a second is left to single transfers', async () => {
  await using world = await World.create(2, 100_000);
  assert.equal(await world.run(), 'done');
  assert.deepEqual(await world.missing(), []);
  assert.ok(!world.calls.includes('storage.transfer.claim-all'));
});
