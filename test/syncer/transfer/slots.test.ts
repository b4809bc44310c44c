import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slots } from '../../../services/syncer/transfer/slots.ts';

test('the slot that was released last is taken next, with its rate', async () => {
  const slots = new Slots(2);
  const [first, second] = [await slots.take(), await slots.take()];
  first.rate = 100;
  second.rate = 200;
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  assert.equal((await slots.take()).rate, 200);
  assert.equal((await slots.take()).rate, 100);
});

test('a slot that is released to a waiting holder keeps its rate', async () => {
  const slots = new Slots(1);
  const first = await slots.take();
  const next = slots.take();
  first.rate = 100;
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assert.equal((await next).rate, 100);
});

test('fewer slots forget the rates that were not used for longest', async () => {
  const slots = new Slots(3);
  const taken = [await slots.take(), await slots.take(), await slots.take()];
  for (const [at, slot] of taken.entries()) {
    slot.rate = at;
    slot[Symbol.dispose]();
  }
  slots.resize(1);
  slots.resize(3);
  assert.deepEqual([(await slots.take()).rate, (await slots.take()).rate], [2, undefined]);
});
