import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from '@sinclair/typebox';
import { States } from '#proto/bus/states.ts';
import { Watch } from '#proto/bus/watch.ts';
import { pack, state } from '#proto/contract/contract.ts';
import { quiet } from '../../support/bus.ts';

const bytes = (text: string) => Buffer.from(text);

test('each value is reported once, and the first one even if there is none', async () => {
  const reported: (string | undefined)[] = [];
  let current: Uint8Array | undefined;
  const watch = new Watch(
    async () => current,
    (value) => reported.push(value && Buffer.from(value).toString()),
  );
  await watch.refresh();
  await watch.refresh();
  current = bytes('a');
  watch.update(current);
  await watch.refresh();
  watch.update(undefined);
  watch.update(bytes('a'));
  assert.deepEqual(reported, [undefined, 'a', undefined, 'a']);
});

test('a value that was read before a write is not reported after it', async () => {
  const reported: string[] = [];
  const read = Promise.withResolvers<Uint8Array | undefined>();
  const watch = new Watch(
    () => read.promise,
    (value) => reported.push(String(value && Buffer.from(value))),
  );
  const refreshed = watch.refresh();
  watch.update(bytes('new'));
  read.resolve(bytes('old'));
  await refreshed;
  assert.deepEqual(reported, ['new']);
});

test('several watches of one entry share a read, and each reports the value', async () => {
  const counter = state('link', Type.Object({ n: Type.Integer() }));
  let reads = 0;
  let n = 1;
  const get = async () => {
    reads += 1;
    return { bytes: pack(counter.value, { n }), revision: n };
  };
  const states = new States({ bucket: () => ({ get }) as never, subscribe: () => () => {} }, quiet);
  const reported: string[] = [];
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  for (const name of ['a', 'b']) states.watch(counter, 'k', (value) => reported.push(`${name}${value?.n}`));
  await settled();
  n = 2;
  states.refresh();
  await settled();
  assert.deepEqual(reported, ['a1', 'b1', 'a2', 'b2']);
  assert.equal(reads, 2);
});
