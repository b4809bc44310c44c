import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { DeltaPace } from '../../../services/syncer/delta/delta-pace.ts';
import { LinkRate } from '../../../services/syncer/delta/link-rate.ts';
import { START_MS } from '../../../services/syncer/delta/worth.ts';

const MIB = 1024 * 1024;
const blob = (digest: string, size: number, delta?: { size: number }) => ({
  repository: 'app',
  digest,
  size,
  ...(delta && { delta }),
});

function clocked() {
  const clock = { now: 0 };
  return { clock, rate: new LinkRate(() => clock.now) };
}

test('two transfers at a time have one link', () => {
  const { clock, rate } = clocked();
  const [one, two] = [blob('1', 8 * MIB), blob('2', 4 * MIB)];
  rate.started(one, 0);
  rate.started(two, 0);
  clock.now = 500;
  rate.reached(one, 2 * MIB);
  clock.now = 2_000;
  rate.ended(two, { complete: true });
  clock.now = 4_000;
  rate.ended(one, { complete: true });
  assert.equal(Math.round(rate.bytesPerS ?? 0), 3 * MIB);
});

test('time without a transfer does not count, nor do bytes that were here, nor small blobs', () => {
  const { clock, rate } = clocked();
  const small = blob('3', 100_000);
  rate.started(small, 0);
  clock.now = 60_000;
  rate.ended(small, { complete: true });
  assert.equal(rate.bytesPerS, undefined);
  const resumed = blob('1', 10 * MIB);
  rate.started(resumed, 6 * MIB);
  clock.now += 2_000;
  rate.ended(resumed, { complete: true });
  assert.equal(rate.bytesPerS, 2 * MIB);
});

test('of a delta, only the bytes that cross the link count, and not the time of its application', () => {
  const { clock, rate } = clocked();
  const update = blob('1', 100 * MIB, { size: 2 * MIB });
  rate.started(update, 0);
  clock.now = 2_000;
  rate.reached(update, 2 * MIB);
  clock.now = 60_000;
  rate.ended(update, { complete: true });
  assert.equal(rate.bytesPerS, MIB);
});

test('bytes that are made here do not count', () => {
  const { clock, rate } = clocked();
  const layer = blob('1', 100 * MIB);
  rate.started(layer, 50 * MIB, 20 * MIB);
  rate.reached(layer, 90 * MIB, 60 * MIB);
  clock.now = 1_000;
  rate.reached(layer, 92 * MIB, 60 * MIB);
  clock.now = 5_000;
  rate.ended(layer, { complete: true });
  assert.equal(rate.bytesPerS, 2 * MIB);
});

test('also a very slow link is known after a while, and one that became faster or slower soon after', () => {
  const { clock, rate } = clocked();
  const large = blob('1', 1_000 * MIB);
  rate.started(large, 0);
  let done = 0;
  const cross = (bytesPerS: number, seconds: number) => {
    for (let second = 0; second < seconds; second += 1) {
      clock.now += 1_000;
      done += bytesPerS;
      rate.reached(large, done);
    }
  };
  for (const bytesPerS of [7_000, 2_000_000, 50_000]) {
    cross(bytesPerS, 60);
    const measured = rate.bytesPerS ?? 0;
    assert.ok(measured > 0.8 * bytesPerS && measured < 1.3 * bytesPerS, `${measured} of ${bytesPerS}`);
  }
});

test('a link that is far slower than before is known to be so once a small image has crossed it', () => {
  const { clock, rate } = clocked();
  rate.started(blob('1', 1_000 * MIB), 0);
  clock.now = 5_000;
  rate.ended(blob('1', 1_000 * MIB), { complete: true });
  assert.equal(rate.bytesPerS, 200 * MIB);
  const small = blob('2', 2 * MIB);
  rate.started(small, 0);
  for (let done = 0; done < small.size; ) {
    clock.now += 1_000;
    done = Math.min(small.size, done + MIB / 2);
    rate.reached(small, done);
  }
  assert.ok((rate.bytesPerS ?? 0) < 10 * MIB, `${rate.bytesPerS}`);
});

test('the rate of a slow link is known after a few seconds of its first transfer', () => {
  const { clock, rate } = clocked();
  rate.started(blob('1', 1_000 * MIB), 0);
  for (let second = 1; second <= 3; second += 1) {
    assert.equal(rate.bytesPerS, undefined);
    clock.now = second * 1_000;
    rate.reached(blob('1', 1_000 * MIB), second * 40_000);
  }
  assert.equal(rate.bytesPerS, 40_000);
});

test('that a link has become slow is known before an interval ends', () => {
  const { clock, rate } = clocked();
  rate.started(blob('1', 1_000 * MIB), 0);
  clock.now = 5_000;
  rate.ended(blob('1', 1_000 * MIB), { complete: true });
  rate.started(blob('2', 1_000 * MIB), 0);
  for (let second = 1; second <= 4; second += 1) {
    assert.equal(rate.bytesPerS, 200 * MIB, 'much may have crossed that was not reported');
    clock.now += 1_000;
    rate.reached(blob('2', 1_000 * MIB), second * 50_000);
  }
  assert.ok((rate.bytesPerS ?? 0) < 200_000, `${rate.bytesPerS}`);
});

test('a transfer whose end is never reported does not make the link slow for good', () => {
  const { clock, rate } = clocked();
  rate.started(blob('lost', 10 * MIB), 0);
  clock.now = 3_600_000;
  for (let round = 0; round < 20; round += 1) {
    const one = blob(`${round}`, 10 * MIB);
    rate.started(one, 0);
    clock.now += 1_000;
    rate.ended(one, { complete: true });
    clock.now += 60_000;
  }
  assert.ok((rate.bytesPerS ?? 0) > 9 * MIB, `${rate.bytesPerS}`);
});

test('the limit of the link is its rate until one is measured, and bounds it then', () => {
  const { clock, rate } = clocked();
  let limit: number | undefined;
  const pace = new DeltaPace({ link: rate, limit: () => limit });
  assert.equal(pace.now().link, undefined);
  limit = 1_000;
  assert.equal(pace.now().link, 1_000);
  rate.started(blob('1', 4 * MIB), 0);
  clock.now = 1_000;
  rate.ended(blob('1', 4 * MIB), { complete: true });
  assert.equal(pace.now().link, 1_000);
  limit = undefined;
  assert.equal(pace.now().link, 4 * MIB);
});

test('the rates of making and applying are learned, those of another parent are forgotten', () => {
  const pace = new DeltaPace();
  pace.use('https://one');
  pace.made({ toSize: 10_000_000, cpuMs: 1_000 });
  pace.applied({ toSize: 10_000_000, cpuMs: 100 + START_MS });
  assert.equal(pace.now().making, 10_000_000);
  assert.equal(pace.now().applying, 100_000_000);
  pace.overdue(1_000_000, 10_000);
  assert.ok(pace.now().making < 10_000_000);
  pace.use('https://one');
  assert.ok(pace.now().making < 10_000_000);
  const { making: before } = new DeltaPace().now();
  pace.use('https://other');
  assert.equal(pace.now().making, before);
  assert.equal(pace.now().applying, 100_000_000);
});

test('what an earlier coordinator measured counts until there is a measurement', () => {
  const { clock, rate } = clocked();
  const pace = new DeltaPace({ link: rate });
  pace.inherit(undefined);
  assert.equal(pace.now().link, undefined);
  pace.inherit(100_000);
  assert.equal(pace.now().link, 100_000);
  for (let round = 0; round < 20; round += 1) {
    rate.started(blob(`${round}`, 8 * MIB), 0);
    clock.now += 1_000;
    rate.ended(blob(`${round}`, 8 * MIB), { complete: true });
  }
  pace.inherit(100_000);
  assert.ok((pace.now().link ?? 0) > 7 * MIB);
});

test('what deltas have saved bounds what waits in vain may cost, and is forgotten with the parent', () => {
  const pace = new DeltaPace();
  pace.use('https://one');
  assert.equal(pace.savedMs, 0);
  pace.saved(-5_000);
  assert.equal(pace.savedMs, 0);
  pace.saved(20_000);
  pace.saved(-5_000);
  assert.equal(pace.savedMs, 15_000);
  for (let times = 0; times < 1_000; times += 1) pace.saved(60_000);
  assert.ok(pace.savedMs <= 3_600_000, 'a lot was saved long ago');
  pace.use('https://other');
  assert.equal(pace.savedMs, 0);
});

test('a delta that is overdue is expected later, and in time again once one has come in time', () => {
  const pace = new DeltaPace();
  pace.overdue(1_000_000, 10_000);
  assert.equal(pace.now().making, 100_000);
  pace.overdue(1_000_000, 1_000);
  assert.equal(pace.now().making, 100_000, 'a short wait says nothing');
  pace.made({ toSize: 1_000_000, cpuMs: 10 }, 500);
  assert.ok(pace.now().making > 100_000);
});

test('on the way up, the load of this machine delays what is made here, and not what the parent applies', () => {
  const [idle, busy] = [0, 4].map((load) => new DeltaPace({ load: () => load * availableParallelism() }));
  for (const pace of [idle, busy]) pace?.madeHere({ toSize: 10_000_000, ms: 9_000, cpuMs: 1_000 });
  const [one, other] = [idle?.ofPushes(), busy?.ofPushes()];
  assert.deepEqual([one?.making, one?.load], [10_000_000, 1]);
  assert.deepEqual([other?.making, other?.load], [2_500_000, 1]);
  assert.equal(other?.applying, one?.applying);
});

test('an application that took too long makes deltas less worth it', () => {
  const pace = new DeltaPace({ timeMs: () => 100_000 });
  pace.notApplied({ toSize: 10 * MIB, code: 'too-slow' });
  assert.equal(Math.round(pace.now().applying), Math.round((10 * MIB) / 100));
  pace.notApplied({ toSize: 5_000 * MIB, code: 'too-slow' });
  assert.equal(Math.round(pace.now().applying), Math.round((10 * MIB) / 100));
  assert.ok(pace.mayApply(10 * MIB));
});

test('after an application that needed too much or crashed, no delta is taken for as large a target for some time', () => {
  const clock = { now: 0 };
  const pace = new DeltaPace({ now: () => clock.now });
  pace.notApplied({ toSize: 1, code: 'delta-invalid' });
  pace.notApplied({ toSize: 200 * MIB, code: 'too-large' });
  assert.deepEqual([pace.mayApply(199 * MIB), pace.mayApply(200 * MIB)], [true, false]);
  pace.notApplied({ toSize: 300 * MIB, code: 'unavailable' });
  assert.deepEqual([pace.mayApply(199 * MIB), pace.mayApply(200 * MIB)], [true, false]);
  clock.now = 3_600_000;
  assert.ok(pace.mayApply(300 * MIB));
});

test('a prefetch counts in the rate of the link from when the parent has all of the blob', () => {
  const { clock, rate } = clocked();
  const pace = new DeltaPace({ link: rate });
  const listeners = new Map<string, (event: { data: unknown }) => void>();
  pace.listen({
    listen: ({ type }: { type: string }, listener: (event: never) => void) => {
      listeners.set(type, listener as never);
      return () => {};
    },
  } as never);
  const data = { ...blob('1', 100 * MIB), direction: 'down', pass: 'arriving' };
  const report = (type: string, more: object) => listeners.get(type)?.({ data: { ...data, ...more } });
  report('transfer.started', { present: 0 });
  // As fast as the parent gets it.
  clock.now = 10_000;
  report('transfer.progressed', { done: MIB });
  pace.prefetching('1', true);
  let done = MIB;
  for (let second = 0; second < 5; second += 1) {
    done += 5 * MIB;
    clock.now += 1_000;
    report('transfer.progressed', { done });
  }
  assert.equal(pace.rate, 5 * MIB);
  pace.prefetching('1', false);
  report('transfer.progressed', { done: done + 1 });
  clock.now += 60_000;
  report('transfer.progressed', { done: done + 2 });
  report('transfer.finished', {});
  assert.equal(pace.rate, 5 * MIB);
});
