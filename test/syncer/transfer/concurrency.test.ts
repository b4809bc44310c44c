import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Concurrency } from '../../../services/syncer/transfer/concurrency.ts';
import { random } from '../../support/time/random.ts';

const INTERVAL_MS = 1_800;

type Link = (connections: number) => { bytesPerSecond: number; refusals?: number; failures?: number };

/** Always with work for more. @returns the count after each interval, and the bytes that came */
function use(link: Link, seconds: number, { most = 32, noise = 0 } = {}) {
  const next = random(7);
  const concurrency = new Concurrency(most);
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
const fat: Link = () => ({ bytesPerSecond: 600_000 });
const lossy: Link = (count) => ({ bytesPerSecond: Math.min(600_000, count * 30_000) });

test('a link that one connection fills gets few', () => {
  for (const noise of [0, 0.03]) {
    const { counts } = use(fat, 300, { noise });
    assert.ok(Math.max(...last(counts, 20)) <= 6, `${counts}`);
  }
});

test('a link where each connection gets a twentieth gets as many as fill it', () => {
  for (const noise of [0, 0.03]) {
    const { counts, rates } = use(lossy, 300, { noise });
    // But for the trials of fewer.
    const trials = last(counts, 60).filter((count) => count < 20);
    assert.ok(trials.length <= 6 && last(counts)[0]! >= 20, `${counts}`);
    assert.ok(mean(last(rates, 60)) > 600_000 * 0.97);
  }
});

test('where each connection helps, all of them are in use within 15 s', () => {
  const { counts } = use((count) => ({ bytesPerSecond: count * 30_000 }), 15);
  assert.equal(last(counts)[0], 32);
  assert.deepEqual(counts.slice(0, 3), [6, 9, 13]);
});

test('a parent that refuses above eight is not asked that much again and again', () => {
  const { counts, rates } = use(
    (count) => ({ bytesPerSecond: Math.min(8, count) * 30_000, refusals: Math.max(0, count - 8) }),
    600,
  );
  assert.ok(last(counts, 100).every((count) => count <= 13));
  const above = last(counts, 100).filter((count) => count > 8);
  assert.ok(above.length <= 10, `${counts}`);
  assert.ok(mean(last(rates, 100)) > 0.5 * 8 * 30_000, `${counts}`);
});

test('several failures halve it, once', () => {
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

test('a link that gets better gets more, one that gets worse fewer', () => {
  let each = 600_000;
  const concurrency = new Concurrency(32);
  const go = (from: number, to: number) => {
    for (let now = from; now < to; now += 1_000) {
      const bytes = Math.min(600_000, concurrency.count * each);
      concurrency.feed({ now, ms: 1_000, bytes, saturated: true, failures: 0, refusals: 0 });
    }
    return concurrency.count;
  };
  assert.ok(go(0, 60_000) <= 6);
  each = 30_000;
  assert.ok(go(60_000, 360_000) >= 20);
  each = 600_000;
  assert.ok(go(360_000, 1_500_000) <= 10);
});

test('what is not in full use shows nothing', () => {
  const concurrency = new Concurrency(32);
  for (let now = 0; now < 10_000; now += 1_000) {
    concurrency.feed({ now, ms: 1_000, bytes: now, saturated: false, failures: 0, refusals: 0 });
  }
  assert.equal(concurrency.count, 4);
});

test('a ceiling that is lowered counts at once', () => {
  const concurrency = new Concurrency(32);
  for (let now = 0; now < 10_000; now += 1_000) {
    concurrency.feed({ now, ms: 1_000, bytes: concurrency.count, saturated: true, failures: 0, refusals: 0 });
  }
  concurrency.max = 3;
  assert.equal(concurrency.count, 3);
});

test('a link that is down now and then keeps its connections', () => {
  const concurrency = new Concurrency(32);
  for (let now = 0; now < 200_000; now += 1_000) {
    const bytes = now % 20_000 > 14_000 ? 100 : concurrency.count * 30_000;
    concurrency.feed({ now, ms: 1_000, bytes, saturated: true, failures: 0, refusals: 0 });
    if (now > 20_000) assert.ok(concurrency.count >= 20, `${concurrency.count} at ${now} ms`);
  }
});

test('a link that stays a tenth of what it was is measured anew', () => {
  const concurrency = new Concurrency(32);
  const go = (from: number, to: number, each: number) => {
    for (let now = from; now < to; now += 1_000) {
      const bytes = Math.min(600_000, concurrency.count * each);
      concurrency.feed({ now, ms: 1_000, bytes, saturated: true, failures: 0, refusals: 0 });
    }
    return concurrency.count;
  };
  assert.ok(go(0, 40_000, 600_000) <= 6);
  assert.equal(go(40_000, 120_000, 5_000), 32);
});
