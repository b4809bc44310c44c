import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { type AwaitDeps, awaitParent } from '../../../services/syncer/parent-tasks/await-parent.ts';
import { quiet } from '../../support/bus.ts';

const gone = new Fault('parent-unreachable', 'GET /v2/: connect ECONNREFUSED');

/** A layer whose passes end as the test says, and a parent that answers as it says. */
function awaiting(more: Partial<AwaitDeps> = {}) {
  const end = new AbortController();
  const passes = new Set<() => void>();
  const said: string[] = [];
  const waiting = new Set<() => void>();
  const say = (word: string) => {
    said.push(word);
    for (const wake of waiting) wake();
  };
  const state = { away: false, answers: false };
  const ended = awaitParent(
    {
      changeCursor: { cursor: undefined },
      link: () => ({ usable: true, live: true }),
      isUnreachable: () => state.away,
      parent: async () => ({
        ping: async () => {
          say('asked');
          if (!state.answers) throw gone;
        },
      }),
      onPass: (heard) => {
        passes.add(heard);
        return () => void passes.delete(heard);
      },
      requestPass: () => say('told'),
      log: quiet,
      firstWaitMs: 1,
      ...more,
    },
    end.signal,
  );
  return {
    said,
    state,
    pass(away: boolean) {
      state.away = away;
      for (const heard of passes) heard();
    },
    async hears(word: string, times = 1): Promise<void> {
      const count = () => said.filter((one) => one === word).length;
      while (count() < times) await new Promise<void>((resolve) => waiting.add(resolve));
    },
    async [Symbol.asyncDispose]() {
      end.abort();
      await ended;
      assert.equal(passes.size, 0);
    },
  };
}

test('a parent that a pass could not reach is asked until it answers: then a pass begins, and nobody asks any more', async () => {
  await using one = awaiting();
  one.pass(true);
  await one.hears('asked', 2);
  one.state.answers = true;
  await one.hears('told');
  one.pass(false);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(one.said, ['asked', 'asked', 'asked', 'told']);
  // Each time anew.
  one.pass(true);
  await one.hears('told', 2);
});

test('nobody asks where a request rests at the parent, or while the link may not be used', async () => {
  const changeCursor: { cursor: string | undefined } = { cursor: '1' };
  let live = true;
  await using one = awaiting({ changeCursor, link: () => ({ usable: true, live }), firstWaitMs: 0 });
  one.state.answers = true;
  const pass = async () => {
    one.pass(true);
    // Longer than it waits before it asks.
    await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (let time = 0; time < 3; time += 1) await pass();
  [changeCursor.cursor, live] = [undefined, false];
  for (let time = 0; time < 3; time += 1) await pass();
  live = true;
  one.pass(true);
  await one.hears('told');
  assert.deepEqual(one.said, ['asked', 'told']);
});

/** With jitter, a pause is half to all of these. */
function fit(pauses: (number | undefined)[], limits: number[]): void {
  assert.equal(pauses.length, limits.length);
  const wrong = pauses.filter((ms, at) => {
    const limit = limits[at] as number;
    return ms === undefined || ms < limit / 2 || ms > limit;
  });
  assert.deepEqual(wrong, [], `${pauses}`);
}

test('a parent that answers and fails every pass all the same is left alone for twice as long each time, until a pass reaches it', async () => {
  const waits: number[] = [];
  const debug = (fields: object) => void waits.push((fields as { ms: number }).ms);
  await using one = awaiting({ log: { ...quiet, debug } });
  one.state.answers = true;
  for (let time = 1; time <= 4; time += 1) {
    one.pass(true);
    await one.hears('told', time);
  }
  one.pass(true);
  await one.hears('told', 5);
  fit(waits, [2, 4, 8, 16]);
  one.pass(false);
  await new Promise((resolve) => setImmediate(resolve));
  for (let time = 6; time <= 7; time += 1) {
    one.pass(true);
    await one.hears('told', time);
  }
  fit(waits, [2, 4, 8, 16, 2]);
  // One that does not answer in between has not reached it.
  one.state.answers = false;
  one.pass(true);
  await one.hears('asked', 8);
  one.state.answers = true;
  await one.hears('told', 8);
  one.pass(true);
  await one.hears('told', 9);
  fit([waits[5], waits.at(-1)], [4, 8]);
});
