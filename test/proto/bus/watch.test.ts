import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from '@sinclair/typebox';
import { States } from '#proto/bus/states.ts';
import { Watch } from '#proto/bus/watch.ts';
import { pack, state } from '#proto/contract/contract.ts';
import { quiet } from '../../support/bus.ts';

const bytes = (text: string) => Buffer.from(text);

test('each value is told once, and the first even where there is none', async () => {
  const told: (string | undefined)[] = [];
  let there: Uint8Array | undefined;
  const watch = new Watch(
    async () => there,
    (value) => told.push(value && Buffer.from(value).toString()),
  );
  await watch.refresh();
  await watch.refresh();
  there = bytes('a');
  watch.update(there);
  await watch.refresh();
  watch.update(undefined);
  watch.update(bytes('a'));
  assert.deepEqual(told, [undefined, 'a', undefined, 'a']);
});

test('what was read before a write was heard of is not told after it', async () => {
  const told: string[] = [];
  const read = Promise.withResolvers<Uint8Array | undefined>();
  const watch = new Watch(
    () => read.promise,
    (value) => told.push(String(value && Buffer.from(value))),
  );
  const refreshed = watch.refresh();
  watch.update(bytes('new'));
  read.resolve(bytes('old'));
  await refreshed;
  assert.deepEqual(told, ['new']);
});

test('what several watch is asked for once at a time, and each hears it', async () => {
  const counter = state('link', Type.Object({ n: Type.Integer() }));
  let asked = 0;
  let n = 1;
  const get = async () => {
    asked += 1;
    return { bytes: pack(counter.value, { n }), revision: n };
  };
  const states = new States({ bucket: () => ({ get }) as never, subscribe: () => () => {} }, quiet);
  const told: string[] = [];
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  for (const who of ['a', 'b']) states.watch(counter, 'k', (value) => told.push(`${who}${value?.n}`));
  await settled();
  n = 2;
  states.refresh();
  await settled();
  assert.deepEqual(told, ['a1', 'b1', 'a2', 'b2']);
  assert.equal(asked, 2);
});
