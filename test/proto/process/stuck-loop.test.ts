import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processorMsOf } from '#proto/process/cpu-time.ts';
import { LOOP_LIMITS, StuckLoop } from '#proto/process/stuck-loop.ts';

const { polls, everyMs, processorMs } = LOOP_LIMITS;

/** Looks one after another. `turns`: whether the loop turned before it; `used`: time of the processor, in ms. */
function watched(steps: { turns?: boolean; used?: number }[]): (number | undefined)[] {
  const loop = new StuckLoop();
  let [turns, total] = [1, 0];
  return [{}, ...steps].map(({ turns: turned = false, used = 0 }) => {
    turns += Number(turned);
    total += used;
    return loop.poll(turns, total);
  });
}
const times = <T>(count: number, step: T): T[] => Array.from({ length: count }, () => step);

test('a loop is stuck that computes and does not turn', () => {
  const found = watched(times(polls, { used: everyMs }));
  assert.deepEqual(found.slice(0, -1), times(polls, undefined));
  assert.equal(found.at(-1), polls * everyMs);
});

test('a loop is not stuck that computes and turns now and then', () => {
  const found = watched(
    times(10, [...times(polls - 1, { used: everyMs }), { used: everyMs, turns: true }]).flat(),
  );
  assert.ok(found.every((stuck) => stuck === undefined));
});

test('a process that is stopped, or hardly gets the processor, is not stuck, however long it takes', () => {
  assert.ok(watched(times(10_000, {})).every((stuck) => stuck === undefined));
  const slow = watched(times(polls * 3, { used: processorMs / (polls * 4) }));
  assert.ok(slow.every((stuck) => stuck === undefined));
});

test('one that never said that its loop turns, or of which nobody knows its time, is not judged', () => {
  const loop = new StuckLoop();
  for (let at = 0; at < 100; at += 1) assert.equal(loop.poll(0, at * everyMs), undefined);
  for (let at = 0; at < 100; at += 1) assert.equal(loop.poll(1, undefined), undefined);
});

test('the time of the processor is that of the thread of the loop', () => {
  const before = processorMsOf(process.pid) ?? Number.NaN;
  while ((processorMsOf(process.pid) ?? 0) < before + 50) {
    // Computes.
  }
  assert.equal(processorMsOf(2 ** 30), undefined);
});
