import assert from 'node:assert/strict';
import { test } from 'node:test';
import { within } from '#proto/async/within.ts';

const never = new Promise<never>(() => {});
const LONG_MS = 60 * 60_000;

test('work that ends in time gives its result or its error', async () => {
  assert.equal(await within(Promise.resolve(1), LONG_MS), 1);
  await assert.rejects(within(Promise.reject(new Error('failed')), LONG_MS), /failed/);
});

test('work that does not end in time gives undefined, and its later error is not unhandled', async () => {
  const work = Promise.withResolvers<void>();
  assert.equal(await within(work.promise, 1), undefined);
  work.reject(new Error('late'));
  await assert.rejects(work.promise, /late/);
  assert.equal(await within(never, -1), undefined);
});

test('an abort ends the wait with its reason', async () => {
  const abort = new AbortController();
  const waiting = within(never, LONG_MS, abort.signal);
  abort.abort(new Error('stopped'));
  await assert.rejects(waiting, /stopped/);
  await assert.rejects(within(never, LONG_MS, AbortSignal.abort(new Error('before'))), /before/);
});
