import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Concurrency } from '../../../../services/syncer/transfer/pace/concurrency.ts';
import { random } from '../../../support/time/random.ts';

const INTERVAL_MS = 1_800;

type Link = (connections: number) => { bytesPerSecond: number; refusals?: number; failures?: number };

/** Feeds intervals that are always saturated. @returns the count, and the rate in bytes/s, of each interval */
function simulate(link: Link, seconds: number, { max = 32, noise = 0 } = {}) {
  const next = random(7);
  const concurrency = new Concurrency(max);
  const counts: number[] = [];
  const rates: number[] = [];
  for (let now = INTERVAL_MS; now < seconds * 1_000; now += INTERVAL_MS) {
    const { bytesPerSecond, refusals = 0, failures = 0 } = link(concurrency.count);
    const rate = bytesPerSecond * (1 + noise * (2 * next() - 1));
    rates.push(rate);
    const bytes = (rate * INTERVAL_MS) / 1_000;
    concurrency.feed({ now, ms: INTERVAL_MS, bytes, saturated: true, failures, refusals });
    counts.push(concurrency.count);
  }
  return { counts, rates };
}

const last = <T>(list: T[], count = 1) => list.slice(-count);
const mean = (list: number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;
const fast: Link = () => ({ bytesPerSecond: 600_000 });
const lossy: Link = (count) => ({ bytesPerSecond: Math.min(600_000, count * 30_000) });

test('a link that one connection saturates gets few connections', () => {
  for (const noise of [0, 0.03]) {
    const { counts } = simulate(fast, 300, { noise });
    assert.ok(Math.max(...last(counts, 20)) <= 6, `${counts}`);
  }
});

test('a link that gives each connection a twentieth gets enough connections to saturate it', () => {
  for (const noise of [0, 0.03]) {
    const { counts, rates } = simulate(lossy, 300, { noise });
    // Except for the trials of fewer connections.
    const trials = last(counts, 60).filter((count) => count < 20);
    assert.ok(trials.length <= 6 && last(counts)[0]! >= 20, `${counts}`);
    assert.ok(mean(last(rates, 60)) > 600_000 * 0.97);
  }
});

test('if each connection adds throughput, their maximum is reached within 15 s', () => {
  const { counts } = simulate((count) => ({ bytesPerSecond: count * 30_000 }), 15);
  assert.equal(last(counts)[0], 32);
  assert.deepEqual(counts.slice(0, 4), [4, 6, 9, 13]);
});

test('the interval in which the first connections start is no evidence for more', () => {
  const counts = (rates: number[], roundTripMs: number) => {
    const concurrency = new Concurrency(32);
    concurrency.roundTripMs = roundTripMs;
    return rates.map((bytes, at) => {
      const now = (at + 1) * 1_000;
      concurrency.feed({ now, ms: 1_000, bytes, saturated: true, failures: 0, refusals: 0 });
      return concurrency.count;
    });
  };
  // More connections bring nothing: their count is that of the start again.
  assert.deepEqual(counts([300_000, 800_000, 810_000, 810_000], 50), [4, 6, 6, 4]);
  assert.deepEqual(counts([100_000, 200_000], 300), [18, 27]);
});

test('a link with a long round trip begins with more connections, and with no more than the maximum', () => {
  const initial = (max: number, roundTripMs: number) => {
    const concurrency = new Concurrency(max);
    concurrency.roundTripMs = roundTripMs;
    return concurrency.count;
  };
  assert.equal(initial(32, 20), 4);
  assert.equal(initial(32, 300), 12);
  assert.equal(initial(6, 300), 6);
  assert.equal(initial(1, 300), 1);
});

test('the round trip changes nothing once the link is measured', () => {
  const concurrency = new Concurrency(32);
  const feed = (now: number, refusals: number) =>
    concurrency.feed({ now, ms: 1_000, bytes: 100_000, saturated: true, failures: 0, refusals });
  feed(1_000, 1);
  assert.equal(concurrency.count, 2);
  concurrency.roundTripMs = 300;
  assert.equal(concurrency.count, 2);
});

test('a parent that refuses more than eight connections rarely gets more', () => {
  const { counts, rates } = simulate(
    (count) => ({ bytesPerSecond: Math.min(8, count) * 30_000, refusals: Math.max(0, count - 8) }),
    600,
  );
  assert.ok(last(counts, 100).every((count) => count <= 13));
  const above = last(counts, 100).filter((count) => count > 8);
  assert.ok(above.length <= 10, `${counts}`);
  assert.ok(mean(last(rates, 100)) > 0.5 * 8 * 30_000, `${counts}`);
});

test('several failures halve the connections once', () => {
  let broken = false;
  const concurrency = new Concurrency(32);
  const feed = (now: number) =>
    concurrency.feed({
      now,
      ms: 1_000,
      bytes: concurrency.count * 1_000,
      saturated: true,
      failures: broken ? concurrency.count : 0,
      refusals: 0,
    });
  for (let now = 0; now < 10_000; now += 1_000) feed(now);
  assert.equal(concurrency.count, 32);
  broken = true;
  feed(10_000);
  feed(11_000);
  assert.equal(concurrency.count, 16);
});

test('a link whose connections become slower gets more of them, and fewer once they are faster', () => {
  let bytesPerConnection = 600_000;
  const concurrency = new Concurrency(32);
  const run = (from: number, to: number) => {
    for (let now = from; now < to; now += 1_000) {
      const bytes = Math.min(600_000, concurrency.count * bytesPerConnection);
      concurrency.feed({ now, ms: 1_000, bytes, saturated: true, failures: 0, refusals: 0 });
    }
    return concurrency.count;
  };
  assert.ok(run(0, 60_000) <= 6);
  bytesPerConnection = 30_000;
  assert.ok(run(60_000, 360_000) >= 20);
  bytesPerConnection = 600_000;
  assert.ok(run(360_000, 1_500_000) <= 10);
});

test('an interval that is not saturated changes nothing', () => {
  const concurrency = new Concurrency(32);
  for (let now = 0; now < 10_000; now += 1_000) {
    concurrency.feed({ now, ms: 1_000, bytes: now, saturated: false, failures: 0, refusals: 0 });
  }
  assert.equal(concurrency.count, 4);
});

test('a lower maximum applies at once', () => {
  const concurrency = new Concurrency(32);
  for (let now = 0; now < 10_000; now += 1_000) {
    concurrency.feed({ now, ms: 1_000, bytes: concurrency.count, saturated: true, failures: 0, refusals: 0 });
  }
  concurrency.max = 3;
  assert.equal(concurrency.count, 3);
});

test('a link with short outages retains its connections', () => {
  const concurrency = new Concurrency(32);
  for (let now = 0; now < 200_000; now += 1_000) {
    const bytes = now % 20_000 > 14_000 ? 100 : concurrency.count * 30_000;
    concurrency.feed({ now, ms: 1_000, bytes, saturated: true, failures: 0, refusals: 0 });
    if (now > 20_000) assert.ok(concurrency.count >= 20, `${concurrency.count} at ${now} ms`);
  }
});

test('a link that stays at a fraction of its throughput is measured again', () => {
  const concurrency = new Concurrency(32);
  const run = (from: number, to: number, bytesPerConnection: number) => {
    for (let now = from; now < to; now += 1_000) {
      const bytes = Math.min(600_000, concurrency.count * bytesPerConnection);
      concurrency.feed({ now, ms: 1_000, bytes, saturated: true, failures: 0, refusals: 0 });
    }
    return concurrency.count;
  };
  assert.ok(run(0, 40_000, 600_000) <= 6);
  assert.equal(run(40_000, 120_000, 5_000), 32);
});
