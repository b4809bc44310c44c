import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { orAborted, unlessAborted } from '#proto/async/unless-aborted.ts';

const never = new Promise<never>(() => {});
const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

test('an abort ends the wait: with the reason, or with undefined', async () => {
  const abort = new AbortController();
  const waits = [unlessAborted(abort.signal, never), orAborted(abort.signal, never)] as const;
  abort.abort(new Error('stopped'));
  await assert.rejects(waits[0], /stopped/);
  assert.equal(await waits[1], undefined);
});

test('a signal that is aborted already ends the wait at once, and a later error of the task is not unhandled', async () => {
  const signal = AbortSignal.abort(new Error('before'));
  const task = Promise.withResolvers<void>();
  await assert.rejects(unlessAborted(signal, task.promise), /before/);
  assert.equal(await orAborted(signal, task.promise), undefined);
  task.reject(new Error('late'));
  await assert.rejects(task.promise, /late/);
});

test('a task that ends gives its result or its error, and leaves no listener at the signal', async () => {
  const { signal } = new AbortController();
  for (const wait of [unlessAborted, orAborted]) {
    assert.equal(await wait(signal, Promise.resolve(1)), 1);
    await assert.rejects(wait(signal, Promise.reject(new Error('failed'))), /failed/);
  }
  assert.equal(listeners(signal), 0);
});
