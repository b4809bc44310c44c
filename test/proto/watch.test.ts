import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Watch } from '#proto/watch.ts';

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
  watch.hear(there);
  await watch.refresh();
  watch.hear(undefined);
  watch.hear(bytes('a'));
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
  watch.hear(bytes('new'));
  read.resolve(bytes('old'));
  await refreshed;
  assert.deepEqual(told, ['new']);
});
