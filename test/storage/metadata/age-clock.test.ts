import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AgeClock, MAX_OFF_MS } from '../../../services/storage/metadata/age-clock.ts';
import type { AgeRecord } from '../../../services/storage/metadata/records.ts';
import { quiet } from '../../support/bus.ts';

const HOUR = 3_600_000;
const YEARS = 56 * 365 * 24 * HOUR;

/** A machine with both clocks, and the stored record. */
function fixture() {
  const clocks = { wall: Date.UTC(2030, 0, 1), monotonic: 0 };
  let stored: AgeRecord | undefined;
  const metadata = {
    age: async () => stored,
    writeUnsynced: async ([change]: unknown[]) => {
      stored = (change as { value: AgeRecord }).value;
    },
  };
  const open = () =>
    AgeClock.open({
      metadata,
      now: () => clocks.wall,
      running: () => clocks.monotonic,
      log: quiet,
    });
  const run = (ms: number) => {
    clocks.wall += ms;
    clocks.monotonic += ms;
  };
  return { clocks, open, run };
}

for (const [name, jump] of [
  ['ahead', YEARS],
  ['back', -YEARS],
] as const) {
  test(`content ages by the time that passed, although the wall clock is set ${name} by decades`, async () => {
    const { clocks, open, run } = fixture();
    await using age = await open();
    const began = age.now();
    run(HOUR);
    clocks.wall += jump;
    run(HOUR);
    assert.equal(age.now() - began, 2 * HOUR);
    assert.equal(age.wallOf(began), Math.max(0, clocks.wall - 2 * HOUR));
  });
}

test('over a stop, content ages as the wall clock advanced, six hours at most, and never backwards', async () => {
  for (const [off, expected] of [
    [HOUR, HOUR],
    [YEARS, MAX_OFF_MS],
    [-YEARS, 0],
  ] as const) {
    const { clocks, open, run } = fixture();
    const before = await open();
    run(HOUR);
    const last = before.now();
    await before[Symbol.asyncDispose]();
    // The monotonic clock begins again with the machine.
    clocks.monotonic = 5_000;
    clocks.wall += off;
    await using age = await open();
    assert.equal(age.now() - last, expected);
  }
});

test('a clock that was never stored begins with the wall clock', async () => {
  const { clocks, open } = fixture();
  await using age = await open();
  assert.equal(age.now(), clocks.wall);
});
