import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { KeyedLock } from '#proto/async/keyed-lock.ts';

test('tasks under one key run one after another, also after a failure; other keys do not wait', async () => {
  const lock = new KeyedLock();
  const log: string[] = [];
  const first = Promise.withResolvers<void>();
  const run = (key: string, name: string, until?: Promise<void>) =>
    lock.run(key, async () => {
      log.push(`${name} begins`);
      await until;
      log.push(`${name} ends`);
    });
  const failing = run('a', 'one', first.promise);
  const next = run('a', 'two');
  await run('b', 'other');
  await turn();
  assert.deepEqual(log, ['one begins', 'other begins', 'other ends']);
  first.reject(new Error('refused'));
  await assert.rejects(failing, /refused/);
  await next;
  assert.deepEqual(log.slice(3), ['two begins', 'two ends']);
});
