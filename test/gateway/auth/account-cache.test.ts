import { deepEqual, equal } from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { accountsChanged, accountsStatus, getAccount } from '#proto/accounts/accounts.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { AccountCache } from '../../../services/gateway/auth/account-cache.ts';
import { TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';
import { on } from '../accounts.ts';

const testBus = await TestBus.start();
after(() => testBus[Symbol.asyncDispose]());
const bus = await testBus.connect('gateway');
const storage = await testBus.connect('storage');

const requests: string[] = [];
let actions = on('a', 'content/read');
/** Answers wait for this. */
let gate: Promise<void> = Promise.resolve();
storage.serve(getAccount, async ({ name }) => {
  requests.push(name);
  const account = { name, enabled: true, actions, passwords: [] };
  await gate;
  return name === 'nobody' ? {} : { account };
});
storage.serve(accountsStatus, async () => {
  requests.push('status');
  return { tokens: 1, key: 'AAAA' };
});
await storage.flush();

let accounts: AccountCache;
beforeEach(() => {
  accounts = new AccountCache(bus, 2_000, () => on('open', 'content/read'));
  requests.length = 0;
  gate = Promise.resolve();
  actions = on('a', 'content/read');
});

test('concurrent lookups of a name share one request, and its answer is cached, also for an absent name', async () => {
  await Promise.all(Array.from({ length: 20 }, () => accounts.get('ci')));
  equal(await accounts.get('nobody'), undefined);
  await Promise.all([accounts.status(), accounts.status()]);
  equal(accounts.get('ci') instanceof Promise, false);
  equal(accounts.get('nobody'), undefined);
  equal(accounts.status() instanceof Promise, false);
  deepEqual(requests, ['ci', 'nobody', 'status']);
});

test('every account has the rights of anonymous callers', async () => {
  const known = await accounts.get('ci');
  equal(known?.rules.allows('a', 'content/read'), true);
  equal(known?.rules.allows('open', 'content/read'), true);
  equal(known?.rules.allows('b', 'content/read'), false);
});

for (const [title, event] of [
  ['a change of accounts', accountsChanged],
  ['a start of storage', storageStarted],
] as const) {
  test(`${title} clears the cache`, async () => {
    await accounts.get('ci');
    await accounts.status();
    storage.publish(event, {});
    await until(() => accounts.get('ci') instanceof Promise);
    await accounts.get('ci');
    await accounts.status();
    deepEqual(requests, ['ci', 'status', 'ci', 'status']);
  });
}

test('an answer requested before a change is returned to its callers, and not cached', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  const requestedBefore = accounts.get('ci');
  await until(() => requests.length === 1);
  accounts.forget();
  actions = on('b', 'content/read');
  const requestedAfter = accounts.get('ci');
  await until(() => requests.length === 2);
  resolve();
  equal((await requestedBefore)?.rules.allows('a', 'content/read'), true);
  equal((await requestedAfter)?.rules.allows('b', 'content/read'), true);
  const cached = await accounts.get('ci');
  equal(cached?.rules.allows('b', 'content/read'), true);
  equal(cached?.rules.allows('a', 'content/read'), false);
  equal(requests.length, 2);
});

test('while storage does not answer, what was known is used, until it is cleared', async () => {
  const cache = new AccountCache(bus, 2_000, () => [], 0);
  await cache.get('ci');
  actions = on('b', 'content/read');
  // Storage answers: nothing old is used.
  equal((await cache.get('ci'))?.rules.allows('b', 'content/read'), true);
  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  actions = on('c', 'content/read');
  equal((await cache.get('ci'))?.rules.allows('b', 'content/read'), true);
  cache.forget();
  const after = cache.get('ci');
  resolve();
  equal((await after)?.rules.allows('c', 'content/read'), true);
});

test('a reconnect of the bus clears the cache', async () => {
  await accounts.get('ci');
  await testBus.kill();
  await testBus.up();
  await until(() => accounts.get('ci') instanceof Promise);
  await until(async () => (await Promise.resolve(accounts.get('ci')).catch(() => undefined)) !== undefined);
  equal(requests.length >= 2, true);
});
