import { deepEqual, equal } from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { accountsChanged, accountsStatus, getAccount } from '#proto/accounts/accounts.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { AccountCache } from '../../../services/gateway/auth/account-cache.ts';
import { TestBus } from '../../support/bus.ts';
import { on } from '../accounts.ts';
import { until } from '../layer.ts';

const testBus = await TestBus.start();
after(() => testBus[Symbol.asyncDispose]());
const bus = await testBus.connect('gateway');
const storage = await testBus.connect('storage');

const asked: string[] = [];
let actions = on('a', 'content/read');
/** What is answered waits for this. */
let gate: Promise<void> = Promise.resolve();
storage.serve(getAccount, async ({ name }) => {
  asked.push(name);
  const account = { name, enabled: true, actions, passwords: [] };
  await gate;
  return name === 'nobody' ? {} : { account };
});
storage.serve(accountsStatus, async () => {
  asked.push('status');
  return { tokens: 1, key: 'AAAA' };
});
await storage.flush();

let accounts: AccountCache;
beforeEach(() => {
  accounts = new AccountCache(bus, 2_000, () => on('open', 'content/read'));
  asked.length = 0;
  gate = Promise.resolve();
  actions = on('a', 'content/read');
});

test('a name is asked for once, whoever asks at the same time, and then remembered; an absent one too', async () => {
  await Promise.all(Array.from({ length: 20 }, () => accounts.get('ci')));
  equal(await accounts.get('nobody'), undefined);
  await Promise.all([accounts.status(), accounts.status()]);
  equal(accounts.get('ci') instanceof Promise, false);
  equal(accounts.get('nobody'), undefined);
  equal(accounts.status() instanceof Promise, false);
  deepEqual(asked, ['ci', 'nobody', 'status']);
});

test('everybody has what is open to all', async () => {
  const known = await accounts.get('ci');
  equal(known?.rules.allows('a', 'content/read'), true);
  equal(known?.rules.allows('open', 'content/read'), true);
  equal(known?.rules.allows('b', 'content/read'), false);
});

for (const [title, event] of [
  ['a change', accountsChanged],
  ['a start of storage', storageStarted],
] as const) {
  test(`${title} makes everything be asked for again`, async () => {
    await accounts.get('ci');
    await accounts.status();
    storage.publish(event, {});
    await until(() => accounts.get('ci') instanceof Promise);
    await accounts.get('ci');
    await accounts.status();
    deepEqual(asked, ['ci', 'status', 'ci', 'status']);
  });
}

test('an answer that a change overtook is given to those who asked before it, and not remembered', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  const early = accounts.get('ci');
  await until(() => asked.length === 1);
  accounts.forget();
  actions = on('b', 'content/read');
  const late = accounts.get('ci');
  await until(() => asked.length === 2);
  resolve();
  equal((await early)?.rules.allows('a', 'content/read'), true);
  equal((await late)?.rules.allows('b', 'content/read'), true);
  const cache = await accounts.get('ci');
  equal(cache?.rules.allows('b', 'content/read'), true);
  equal(cache?.rules.allows('a', 'content/read'), false);
  equal(asked.length, 2);
});

test('a bus that was away makes everything be asked for again', async () => {
  await accounts.get('ci');
  await testBus.kill();
  await testBus.up();
  await until(() => accounts.get('ci') instanceof Promise);
  await until(async () => (await Promise.resolve(accounts.get('ci')).catch(() => undefined)) !== undefined);
  equal(asked.length >= 2, true);
});
