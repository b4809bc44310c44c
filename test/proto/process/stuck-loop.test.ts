import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processorMsOf } from '#proto/process/cpu-time.ts';
import { LOOP_LIMITS, StuckLoop } from '#proto/process/stuck-loop.ts';

const { polls, everyMs, processorMs } = LOOP_LIMITS;

/** Results of successive polls. `turns`: whether the loop turned before the poll; `used`: CPU time, in ms. */
function pollResults(steps: { turns?: boolean; used?: number }[]): (number | undefined)[] {
  const loop = new StuckLoop();
  let [turns, total] = [1, 0];
  return [{}, ...steps].map(({ turns: turned = false, used = 0 }) => {
    turns += Number(turned);
    total += used;
    return loop.poll(turns, total);
  });
}
const times = <T>(count: number, step: T): T[] => Array.from({ length: count }, () => step);

test('a loop that uses CPU time and does not turn is stuck', () => {
  const results = pollResults(times(polls, { used: everyMs }));
  assert.deepEqual(results.slice(0, -1), times(polls, undefined));
  assert.equal(results.at(-1), polls * everyMs);
});

test('a loop that uses CPU time and turns now and then is not stuck', () => {
  const results = pollResults(
    times(10, [...times(polls - 1, { used: everyMs }), { used: everyMs, turns: true }]).flat(),
  );
  assert.ok(results.every((stuck) => stuck === undefined));
});

test('a process that is stopped, or gets little CPU time, is not stuck, for any duration', () => {
  assert.ok(pollResults(times(10_000, {})).every((stuck) => stuck === undefined));
  const slow = pollResults(times(polls * 3, { used: processorMs / (polls * 4) }));
  assert.ok(slow.every((stuck) => stuck === undefined));
});

test('a process that never reported a turn, or has unknown CPU time, is not judged', () => {
  const loop = new StuckLoop();
  for (let at = 0; at < 100; at += 1) assert.equal(loop.poll(0, at * everyMs), undefined);
  for (let at = 0; at < 100; at += 1) assert.equal(loop.poll(1, undefined), undefined);
});

test("processorMsOf returns the CPU time of the loop's thread", () => {
  const before = processorMsOf(process.pid) ?? Number.NaN;
  while ((processorMsOf(process.pid) ?? 0) < before + 50) {
    // Uses CPU time.
  }
  assert.equal(processorMsOf(2 ** 30), undefined);
});
