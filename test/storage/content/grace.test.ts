import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRACE_MS, Grace } from '../../../services/storage/content/grace.ts';

test('grace protects what was asked for, forgets it in time, and is careful with what it forgot early', () => {
  let now = 1_000;
  const grace = new Grace(() => now, 2);
  assert.ok(grace.protects('anything'), 'a start knows nothing of what was asked before');
  now += GRACE_MS;
  assert.ok(!grace.protects('a'));
  grace.renew('a', 'b');
  now += GRACE_MS - 1;
  grace.renew('b');
  now += 1;
  assert.deepEqual([grace.protects('a'), grace.protects('b')], [false, true]);
  now += GRACE_MS;
  grace.renew('c', 'd', 'e');
  assert.ok(grace.protects('c'), 'one too many: the first was forgotten, so everything is protected');
  now += GRACE_MS;
  assert.ok(!grace.protects('c'));
});

test('what is held is protected however long it takes, and for one grace more', async () => {
  let now = 0;
  const grace = new Grace(() => now);
  now += GRACE_MS;
  const first = await grace.hold('a');
  const second = await grace.hold('a');
  now += 5 * GRACE_MS;
  first[Symbol.dispose]();
  assert.ok(!grace.mark('a'));
  now += 5 * GRACE_MS;
  assert.ok(grace.protects('a'), 'by the other one');
  second[Symbol.dispose]();
  now += GRACE_MS - 1;
  assert.ok(grace.protects('a'));
  now += 1;
  assert.ok(grace.mark('a'));
});

test('who asks before a removal prevents it, who asks during one waits for its end', async () => {
  let now = 0;
  const grace = new Grace(() => now);
  now += GRACE_MS;
  assert.ok(grace.mark('a') && grace.mark('b'));
  await grace.renew('a');
  assert.equal(await grace.remove(['a'], () => assert.fail('it was asked for')), false);

  const { promise, resolve } = Promise.withResolvers<void>();
  const steps: string[] = [];
  const removed = grace.remove(['b'], async () => {
    await promise;
    steps.push('removed');
  });
  const asked = grace.hold('b').then(() => steps.push('asked'));
  await grace.renew('c');
  assert.deepEqual(steps, []);
  resolve();
  await asked;
  assert.deepEqual(steps, ['removed', 'asked']);
  assert.ok(await removed);
});

test('a removal that fails keeps nobody waiting', async () => {
  let now = 0;
  const grace = new Grace(() => now);
  now += GRACE_MS;
  grace.mark('a');
  await assert.rejects(grace.remove(['a'], () => Promise.reject(new Error('disk'))));
  await grace.renew('a');
});
