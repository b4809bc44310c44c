import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { type AwaitDeps, awaitParent } from '../../../services/syncer/parent-tasks/await-parent.ts';
import { quiet } from '../../support/bus.ts';

const unreachable = new Fault('parent-unreachable', 'GET /v2/: connect ECONNREFUSED');

/** Runs `awaitParent`. The test decides how the passes end and whether the parent answers. */
function awaiting(more: Partial<AwaitDeps> = {}) {
  const end = new AbortController();
  const passes = new Set<() => void>();
  const steps: string[] = [];
  const waiting = new Set<() => void>();
  const record = (step: string) => {
    steps.push(step);
    for (const wake of waiting) wake();
  };
  const state = { isUnreachable: false, answers: false };
  const ended = awaitParent(
    {
      changeCursor: { cursor: undefined },
      link: () => ({ usable: true, live: true }),
      isUnreachable: () => state.isUnreachable,
      parent: async () => ({
        ping: async () => {
          record('ping');
          if (!state.answers) throw unreachable;
        },
      }),
      onPass: (listener) => {
        passes.add(listener);
        return () => void passes.delete(listener);
      },
      requestPass: () => record('pass'),
      log: quiet,
      firstWaitMs: 1,
      ...more,
    },
    end.signal,
  );
  return {
    steps,
    state,
    endPass(isUnreachable: boolean) {
      state.isUnreachable = isUnreachable;
      for (const listener of passes) listener();
    },
    async until(step: string, times = 1): Promise<void> {
      const count = () => steps.filter((other) => other === step).length;
      while (count() < times) await new Promise<void>((resolve) => waiting.add(resolve));
    },
    async [Symbol.asyncDispose]() {
      end.abort();
      await ended;
      assert.equal(passes.size, 0);
    },
  };
}

test('a parent that a pass could not reach is pinged until it answers; then a pass is requested and the pings end', async () => {
  await using awaited = awaiting();
  awaited.endPass(true);
  await awaited.until('ping', 2);
  awaited.state.answers = true;
  await awaited.until('pass');
  awaited.endPass(false);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(awaited.steps, ['ping', 'ping', 'ping', 'pass']);
  // Also after the next pass that could not reach it.
  awaited.endPass(true);
  await awaited.until('pass', 2);
});

test('the parent is not pinged while a long poll is active there, or while the link may not be used', async () => {
  const changeCursor: { cursor: string | undefined } = { cursor: '1' };
  let live = true;
  await using awaited = awaiting({ changeCursor, link: () => ({ usable: true, live }), firstWaitMs: 0 });
  awaited.state.answers = true;
  const endPass = async () => {
    awaited.endPass(true);
    // Longer than the wait before a ping.
    await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (let time = 0; time < 3; time += 1) await endPass();
  [changeCursor.cursor, live] = [undefined, false];
  for (let time = 0; time < 3; time += 1) await endPass();
  live = true;
  awaited.endPass(true);
  await awaited.until('pass');
  assert.deepEqual(awaited.steps, ['ping', 'pass']);
});

/** Asserts that each wait is between half of its limit and the limit, because of the jitter. */
function assertWaits(waits: (number | undefined)[], limits: number[]): void {
  assert.equal(waits.length, limits.length);
  const wrong = waits.filter((ms, at) => {
    const limit = limits[at] as number;
    return ms === undefined || ms < limit / 2 || ms > limit;
  });
  assert.deepEqual(wrong, [], `${waits}`);
}

test('each pass that fails after a successful ping doubles the wait, until a pass reaches the parent', async () => {
  const waits: number[] = [];
  const debug = (fields: object) => void waits.push((fields as { ms: number }).ms);
  await using awaited = awaiting({ log: { ...quiet, debug } });
  awaited.state.answers = true;
  for (let time = 1; time <= 4; time += 1) {
    awaited.endPass(true);
    await awaited.until('pass', time);
  }
  awaited.endPass(true);
  await awaited.until('pass', 5);
  assertWaits(waits, [2, 4, 8, 16]);
  awaited.endPass(false);
  await new Promise((resolve) => setImmediate(resolve));
  for (let time = 6; time <= 7; time += 1) {
    awaited.endPass(true);
    await awaited.until('pass', time);
  }
  assertWaits(waits, [2, 4, 8, 16, 2]);
  // A failed ping meanwhile does not reset the wait.
  awaited.state.answers = false;
  awaited.endPass(true);
  await awaited.until('ping', 8);
  awaited.state.answers = true;
  await awaited.until('pass', 8);
  awaited.endPass(true);
  await awaited.until('pass', 9);
  assertWaits([waits[5], waits.at(-1)], [4, 8]);
});
