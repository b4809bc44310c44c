import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRACE_MS, Grace } from '../../../services/storage/content/grace.ts';

test('requested keys are protected for one grace; if keys had to be forgotten early, all keys are protected', () => {
  let now = 1_000;
  const grace = new Grace(() => now, 2);
  assert.ok(grace.protects('anything'), 'after a start, earlier requests are unknown');
  now += GRACE_MS;
  assert.ok(!grace.protects('a'));
  grace.renew('a', 'b');
  now += GRACE_MS - 1;
  grace.renew('b');
  now += 1;
  assert.deepEqual([grace.protects('a'), grace.protects('b')], [false, true]);
  now += GRACE_MS;
  grace.renew('c', 'd', 'e');
  assert.ok(grace.protects('c'), 'above the limit the oldest key is forgotten, so every key is protected');
  now += GRACE_MS;
  assert.ok(!grace.protects('c'));
});

test('a held key is protected for the time of the hold and one grace more', async () => {
  let now = 0;
  const grace = new Grace(() => now);
  now += GRACE_MS;
  const first = await grace.hold('a');
  const second = await grace.hold('a');
  now += 5 * GRACE_MS;
  first[Symbol.dispose]();
  assert.ok(!grace.mark('a'));
  now += 5 * GRACE_MS;
  assert.ok(grace.protects('a'), 'by the other hold');
  second[Symbol.dispose]();
  now += GRACE_MS - 1;
  assert.ok(grace.protects('a'));
  now += 1;
  assert.ok(grace.mark('a'));
});

test('keys that are asked for while they are watched cannot be marked, even after their grace', async () => {
  let now = 0;
  const grace = new Grace(() => now, 3);
  now += GRACE_MS;
  {
    using _ = grace.watch();
    await grace.renew('a');
    const hold = await grace.hold('b');
    hold[Symbol.dispose]();
    now += 2 * GRACE_MS;
    assert.deepEqual([grace.mark('a'), grace.mark('b'), grace.mark('c')], [false, false, true]);
    await grace.renew('c');
    assert(!grace.marked('c'));
    await grace.renew('d');
    now += 2 * GRACE_MS;
    assert(!grace.mark('e'), 'above the limit it is unknown which keys were asked for');
  }
  assert.deepEqual([grace.mark('a'), grace.mark('e')], [true, true]);
});

test('a request before a removal prevents it; a request during a removal waits for its end', async () => {
  let now = 0;
  const grace = new Grace(() => now);
  now += GRACE_MS;
  assert.ok(grace.mark('a') && grace.mark('b'));
  await grace.renew('a');
  assert.equal(await grace.remove(['a'], () => assert.fail('the key was requested')), false);

  const { promise, resolve } = Promise.withResolvers<void>();
  const steps: string[] = [];
  const removed = grace.remove(['b'], async () => {
    await promise;
    steps.push('removed');
  });
  const requested = grace.hold('b').then(() => steps.push('requested'));
  await grace.renew('c');
  assert.deepEqual(steps, []);
  resolve();
  await requested;
  assert.deepEqual(steps, ['removed', 'requested']);
  assert.ok(await removed);
});

test('a failed removal does not block later requests', async () => {
  let now = 0;
  const grace = new Grace(() => now);
  now += GRACE_MS;
  grace.mark('a');
  await assert.rejects(grace.remove(['a'], () => Promise.reject(new Error('disk'))));
  await grace.renew('a');
});
