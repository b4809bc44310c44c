import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { KeyedLock } from '#proto/async/keyed-lock.ts';

test('under one key one after another, also after one that fails; other keys do not wait', async () => {
  const lock = new KeyedLock();
  const said: string[] = [];
  const first = Promise.withResolvers<void>();
  const run = (key: string, name: string, until?: Promise<void>) =>
    lock.run(key, async () => {
      said.push(`${name} begins`);
      await until;
      said.push(`${name} ends`);
    });
  const failing = run('a', 'one', first.promise);
  const next = run('a', 'two');
  await run('b', 'other');
  await turn();
  assert.deepEqual(said, ['one begins', 'other begins', 'other ends']);
  first.reject(new Error('refused'));
  await assert.rejects(failing, /refused/);
  await next;
  assert.deepEqual(said.slice(3), ['two begins', 'two ends']);
});
