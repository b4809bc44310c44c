import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DeltaMode, MIN_DELTA_TARGET_BYTES } from '#proto/content/deltas.ts';
import {
  applyWaitMs,
  holdMs,
  isWorthAskingStill,
  isWorthSwitching,
  isWorthTaking,
  type Pace,
  START_MS,
  switchGainMs,
  waitMs,
  worthAsking,
} from '../../../services/syncer/delta/worth.ts';

const MB = 1_000_000;
const MAX_MS = 15 * 60_000;
const idle: Pace = { link: 0.625 * MB, roundTripMs: 600, applying: 20 * MB, making: 5 * MB, load: 0 };
const slow = idle;
const office: Pace = { ...idle, link: 12.5 * MB, roundTripMs: 10 };
const loopback: Pace = { ...idle, link: 300 * MB, roundTripMs: 0 };
const unknown: Pace = { ...idle, link: undefined };

const taken: [why: string, mode: DeltaMode, pace: Pace, size: number, deltaSize: number, is: boolean][] = [
  ['on a slow link, a delta is taken', 'auto', slow, 50 * MB, 5 * MB, true],
  ['on a slow link, one that is nearly as large is not', 'auto', slow, 50 * MB, 45 * MB, false],
  ['on a fast link, the blob itself comes sooner', 'auto', loopback, 50 * MB, MB, false],
  ['unless bytes are to be saved', 'always', loopback, 50 * MB, MB, true],
  ['what saves no byte is never taken', 'always', slow, MB, MB, false],
  ['in an office, a small delta is taken', 'auto', office, 50 * MB, 5 * MB, true],
  ['in an office, half of the blob is not worth the work', 'auto', office, 50 * MB, 25 * MB, false],
  ['on a busy machine, less is', 'auto', { ...office, load: 4 }, 50 * MB, 5 * MB, false],
  ['on a busy machine, a slow link is still slower', 'auto', { ...slow, load: 4 }, 50 * MB, 5 * MB, true],
  ['a delta that is ready is taken while the link is unknown', 'auto', unknown, 50 * MB, 5 * MB, true],
  ['off is off', 'off', slow, 50 * MB, MB, false],
];
for (const [why, mode, pace, size, deltaSize, is] of taken) {
  test(why, () => assert.equal(isWorthTaking(mode, pace, size, deltaSize), is));
}

test('a delta that is taken in auto is expected within the time of the blob', () => {
  for (const link of [0.01, 0.1, 1, 3, 10, 30, 100, 1_000]) {
    for (const share of [0.01, 0.1, 0.3, 0.6, 0.85]) {
      for (const load of [0, 1, 3]) {
        const pace = { ...idle, link: link * MB, load };
        const size = 10 * MB;
        const ms = (bytes: number) => (bytes / pace.link) * 1_000;
        const applyMs = START_MS + (size / pace.applying) * 1_000;
        const withDelta = ms(size * share) + applyMs * Math.max(1, load);
        if (isWorthTaking('auto', pace, size, size * share)) assert.ok(withDelta <= 0.9 * ms(size));
      }
    }
  }
});

const asked: [why: string, mode: DeltaMode, pace: Pace, sizes: number[], asked: number[]][] = [
  ['small blobs are never asked for', 'always', slow, [MIN_DELTA_TARGET_BYTES - 1, MB], [MB]],
  ['on a slow link, all others are', 'auto', slow, [10 * MB, MB], [10 * MB, MB]],
  ['on a fast link, nothing is', 'auto', loopback, [100 * MB, MB], []],
  ['not even one question, if it takes longer than it may save', 'auto', slow, [0.4 * MB], []],
  ['in doubt, the parent is asked', 'auto', unknown, [MB], [MB]],
  ['off is off', 'off', slow, [10 * MB], []],
];
for (const [why, mode, pace, sizes, expected] of asked) {
  test(why, () => {
    const worth = worthAsking(
      mode,
      pace,
      sizes.map((size) => ({ size })),
    );
    assert.deepEqual(
      worth.map(({ size }) => size),
      expected,
    );
  });
}

const start = { ms: 0, idleMs: 0 };
const limits = { maxMs: MAX_MS };
const waits = (pace: Pace, sizes: number[], waited = start, savedMs = 60_000) =>
  waitMs('auto', pace, sizes, waited, { ...limits, savedMs });

test('on a slow link, a delta is waited for as long as it should take, and another syncer to take up its job', () => {
  assert.equal(waits(slow, [50 * MB]), 25_000);
  assert.equal(waits(slow, [50 * MB], { ms: 24_000, idleMs: 24_000 }), 1_000);
  assert.equal(waits(slow, [50 * MB], { ms: 25_000, idleMs: 25_000 }), 0);
  assert.equal(waits(slow, [50 * MB], { ms: 25_000, idleMs: 0 }), 25_000, 'one came meanwhile');
});

test('until deltas have saved time, a wait takes at most 3 % of the time of the blobs', () => {
  assert.equal(waits(slow, [50 * MB], start, 0), 2_400);
  assert.equal(waits(slow, [40 * MB, 10 * MB], start, 0), 2_400);
  assert.equal(waits(slow, [50 * MB], start, 10_000), 12_400);
  assert.equal(waits(slow, [2 * MB], start, 0), 0, 'a question waits for a second or more');
  for (const link of [0.01, 0.1, 0.3, 1, 3, 10, 100]) {
    for (const making of [0.01, 0.1, 1, 5, 50]) {
      for (const size of [0.3, 3, 30, 300]) {
        const pace = { ...slow, link: link * MB, making: making * MB };
        const waited = waits(pace, [size * MB], start, 0);
        assert.ok(waited <= 0.03 * ((size * MB) / pace.link) * 1_000);
      }
    }
  }
});

test('the rest of a blob is exchanged for its delta where that saves time', () => {
  const half = { size: 50 * MB, left: 25 * MB };
  const gain = switchGainMs('auto', slow, half, 5 * MB);
  assert.equal(gain, 0.9 * 40_000 - (8_000 + START_MS + 2_500));
  assert.equal(switchGainMs('auto', slow, { ...half, left: 6 * MB }, 5 * MB), 0, 'little is left');
  assert.equal(switchGainMs('auto', loopback, half, MB), 0);
  assert.equal(switchGainMs('auto', unknown, half, MB), 0);
  assert.equal(switchGainMs('off', slow, half, MB), 0);
  for (const pace of [slow, unknown]) {
    assert.ok(isWorthSwitching('auto', pace, half, 5 * MB));
    assert.ok(!isWorthSwitching('auto', pace, { ...half, left: 5 * MB }, 5 * MB), 'little is left');
    assert.ok(!isWorthSwitching('off', pace, half, MB));
  }
  assert.ok(!isWorthSwitching('auto', loopback, half, MB));
  assert.ok(isWorthAskingStill('auto', slow, half));
  assert.ok(!isWorthAskingStill('auto', slow, { ...half, left: 6 * MB }));
  assert.ok(!isWorthAskingStill('auto', office, { ...half, left: 30 * MB }), 'in an office, hardly ever');
});

test('content that the parent still receives is held back where its delta would pay, for no longer than may be lost', () => {
  assert.equal(holdMs('auto', slow, 50 * MB, 0), 2_400);
  assert.equal(holdMs('auto', slow, 50 * MB, 10_000), 12_400);
  assert.ok(holdMs('auto', slow, 50 * MB, 3_600_000) < 0.9 * 80_000, 'while it pays');
  for (const pace of [office, loopback, unknown]) assert.equal(holdMs('auto', pace, 50 * MB, 60_000), 0);
  assert.equal(holdMs('off', slow, 50 * MB, 60_000), 0);
  assert.equal(holdMs('always', loopback, MB, 0), Number.POSITIVE_INFINITY);
});

test('no delta is waited for where making it takes longer than it saves, or nobody knows', () => {
  for (const pace of [office, loopback, unknown]) assert.equal(waits(pace, [50 * MB]), 0);
  assert.equal(waits({ ...slow, making: 0.6 * MB }, [50 * MB]), 0);
  assert.equal(waits(slow, []), 0);
});

test('where bytes are to be saved, the configured time is the only bound', () => {
  const always = (pace: Pace, ms: number) => waitMs('always', pace, [50 * MB], { ms, idleMs: ms }, limits);
  assert.equal(always(unknown, 60_000), MAX_MS - 60_000);
  assert.equal(always(loopback, MAX_MS), 0);
});

test('in auto, the application of a pushed delta is waited for no longer than the blob itself takes', () => {
  assert.equal(applyWaitMs('auto', MAX_MS, 60_000), 60_000);
  assert.equal(applyWaitMs('auto', MAX_MS, 2 * MAX_MS), MAX_MS);
  const [shortest, unknown] = [applyWaitMs('auto', MAX_MS, 1), applyWaitMs('auto', MAX_MS)];
  assert.ok(shortest > 1_000 && shortest <= unknown && unknown < MAX_MS / 10, `${shortest} ${unknown}`);
  assert.equal(applyWaitMs('always', MAX_MS, 1), MAX_MS);
});
