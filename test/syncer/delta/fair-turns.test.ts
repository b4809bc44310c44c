import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairTurns } from '../../../services/syncer/delta/jobs/fair-turns.ts';

/** Takes turns that end at once, and notes their order. */
async function order(turns: FairTurns, queues: string[], signal = new AbortController().signal) {
  const begun: string[] = [];
  await Promise.all(
    queues.map(async (queue) => {
      using _turn = await turns.take(queue, signal);
      begun.push(queue);
      await Promise.resolve();
    }),
  );
  return begun.join('');
}

test('queues have alternate turns, each in its order', async () => {
  const turns = new FairTurns();
  assert.equal(await order(turns, ['a', 'a', 'a', 'a', 'b']), 'abaaa');
  assert.equal(await order(turns, ['a', 'a', 'a', 'b', 'b', 'c']), 'acbaba');
  assert.equal(await order(turns, ['b']), 'b');
});

test('one at a time has the turn, and who gives up leaves it to the others', async () => {
  const turns = new FairTurns();
  const never = new AbortController().signal;
  const first = await turns.take('a', never);
  const stop = new AbortController();
  const waiting = turns.take('a', stop.signal);
  const next = turns.take('a', never);
  stop.abort(new Error('stopped'));
  await assert.rejects(waiting, /stopped/);
  await assert.rejects(turns.take('a', stop.signal), /stopped/);
  let isBegun = false;
  const last = turns.take('b', never).then((turn) => {
    isBegun = true;
    return turn;
  });
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  (await last)[Symbol.dispose]();
  assert.ok(isBegun);
  (await next)[Symbol.dispose]();
});

test('a turn that comes as its waiter gives up is handed on', async () => {
  const turns = new FairTurns();
  const never = new AbortController().signal;
  const first = await turns.take('a', never);
  const stop = new AbortController();
  const waiting = turns.take('a', stop.signal);
  const next = turns.take('a', never);
  stop.abort(new Error('stopped'));
  first[Symbol.dispose]();
  await assert.rejects(waiting, /stopped/);
  (await next)[Symbol.dispose]();
});
