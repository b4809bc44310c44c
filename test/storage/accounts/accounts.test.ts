import assert from 'node:assert/strict';
import { scryptSync } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  accountsStatus,
  changeToken,
  createToken,
  deleteScopeMap,
  deleteToken,
  getAccount,
  listScopeMaps,
  listTokens,
  putScopeMap,
  rotateToken,
  showScopeMap,
  showToken,
} from '#proto/accounts/accounts.ts';
import { systemScopeMaps } from '#proto/accounts/scopes.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Metadata, put } from '../../../services/storage/metadata/metadata.ts';
import { type Buses, connectAll, fault, Rig } from '../rig.ts';

let buses: Buses;
let operator: Bus;
before(async () => {
  buses = await connectAll();
  operator = await buses.server.connect('operator');
});
after(() => buses.server[Symbol.asyncDispose]());

const actions = ['repositories/line/*/content/read', 'repositories/line/*/metadata/read'];
const accountOf = async (name: string) => (await buses.gateway.call(getAccount, { name })).account;
const create = (name: string, more: object = { actions }) => operator.call(createToken, { name, ...more });
const changes = (rig: Rig) => rig.events.filter(([type]) => type === 'account.changed').length;

function isValid(password: string, hash: string): boolean {
  const [kind, logN, r, p, salt = '', key = ''] = hash.split('$');
  assert.equal(kind, 'scrypt');
  const cost = { N: 2 ** Number(logN), r: Number(r), p: Number(p) };
  const derived = scryptSync(password, Buffer.from(salt, 'base64url'), 32, cost);
  return derived.equals(Buffer.from(key, 'base64url'));
}

test('a token is created with a password that is returned once and stored as a hash', async () => {
  await using rig = await Rig.open(buses);
  const { token, name, password } = await create('line-1');
  assert.equal(name, 'password1');
  assert.match(password, /^[A-Za-z0-9]{43}$/);
  assert.deepEqual(token, {
    name: 'line-1',
    enabled: true,
    scopeMap: 'line-1',
    created: rig.now,
    passwords: [{ name: 'password1', created: rig.now }],
  });
  assert.equal(changes(rig), 1);
  const account = await accountOf('line-1');
  assert.deepEqual(account?.actions, actions);
  assert.ok(isValid(password, account?.passwords[0]?.hash ?? ''));
  assert.ok(!isValid(`${password}x`, account?.passwords[0]?.hash ?? ''));
  assert.equal(await accountOf('line-2'), undefined);
  assert.equal(await accountOf('a!b'), undefined);

  await rig.stop();
  const folder = join(rig.data, 'metadata');
  for (const file of await readdir(folder)) {
    assert.ok(!(await readFile(join(folder, file))).includes(password), file);
  }
  await rig.start();
});

test('concurrent requests create a token once, and its password stays', async () => {
  await using rig = await Rig.open(buses);
  const answers = await Promise.allSettled([create('one'), create('one'), create('one')]);
  const made = answers.filter((answer) => answer.status === 'fulfilled');
  assert.equal(made.length, 1);
  await assert.rejects(create('one'), fault('exists'));
  assert.ok(isValid(made[0]?.value.password ?? '', (await accountOf('one'))?.passwords[0]?.hash ?? ''));
  assert.equal(changes(rig), 1);
});

test('a token without rights, or with an invalid action, is refused with the remedy', async () => {
  await using rig = await Rig.open(buses);
  const refused = (more: object, code: Parameters<typeof fault>[0], words: RegExp) =>
    assert.rejects(create('t', more), (error: Error) => fault(code)(error) && words.test(error.message));
  await refused({}, 'malformed', /either a scope map or actions: specify one of them/);
  await refused({ actions, scopeMap: '_repositories_pull' }, 'malformed', /either/);
  await refused({ actions: ['repositories/A/content/read'] }, 'malformed', /write repositories\/<name/);
  await refused({ actions: ['repositories/a/content/look'] }, 'malformed', /write repositories\/<name/);
  await refused({ scopeMap: 'none' }, 'conflict', /scope map none does not exist: create it first/);
  await refused(
    { actions, expires: rig.now - 1 },
    'malformed',
    /is in the past: specify a time in the future/,
  );
  await refused({ actions: [] }, 'malformed', /actions/);
  await operator.call(putScopeMap, { name: 't', actions });
  await refused({ actions }, 'conflict', /scope map t already exists: assign it to the token by name/);
  assert.deepEqual((await operator.call(listTokens, { limit: 10 })).tokens, []);
  for (const name of ['', '-a', '_a', 'a!b', 'a/b', 'x'.repeat(65)]) {
    await assert.rejects(create(name), fault('malformed'), name);
  }
});

test('one password is replaced while the other stays in use', async () => {
  await using rig = await Rig.open(buses);
  const first = await create('t');
  const hashOf = async (name: string) =>
    (await accountOf('t'))?.passwords.find((each) => each.name === name)?.hash ?? '';
  const second = await operator.call(rotateToken, {
    name: 't',
    password: 'password2',
    expires: rig.now + 1_000,
  });
  assert.ok(isValid(first.password, await hashOf('password1')));
  assert.ok(isValid(second.password, await hashOf('password2')));
  rig.now += 500;
  const third = await operator.call(rotateToken, { name: 't', password: 'password1' });
  assert.ok(isValid(third.password, await hashOf('password1')));
  assert.ok(!isValid(first.password, await hashOf('password1')));
  assert.deepEqual(third.token.passwords, [
    { name: 'password1', created: rig.now },
    { name: 'password2', created: rig.now - 500, expires: rig.now + 500 },
  ]);
  const { passwords } = await operator.call(changeToken, { name: 't', dropPassword: 'password1' });
  assert.deepEqual(
    passwords.map(({ name }) => name),
    ['password2'],
  );
  await assert.rejects(
    operator.call(rotateToken, { name: 'u', password: 'password1' }),
    fault('account-unknown'),
  );
});

test('disabling, changing and deleting a token each publish an event before the answer', async () => {
  await using rig = await Rig.open(buses);
  await create('t');
  const change = (more: object) => operator.call(changeToken, { name: 't', ...more });
  assert.equal((await change({ enabled: false })).enabled, false);
  assert.equal((await accountOf('t'))?.enabled, false);
  assert.equal(changes(rig), 2);
  assert.equal((await change({ enabled: true, scopeMap: '_repositories_pull' })).enabled, true);
  assert.deepEqual((await accountOf('t'))?.actions, ['repositories/*/content/read']);
  await assert.rejects(change({ scopeMap: 'none' }), fault('conflict'));
  await operator.call(deleteToken, { name: 't' });
  assert.equal(changes(rig), 4);
  for (const contract of [showToken, deleteToken, changeToken]) {
    await assert.rejects(
      operator.call(contract as typeof showToken, { name: 't' }),
      fault('account-unknown'),
    );
  }
  await assert.rejects(operator.call(showScopeMap, { name: 't' }), fault('account-unknown'));
});

test('the scope map of a deleted token stays if another token uses it', async () => {
  await using rig = await Rig.open(buses);
  await create('a');
  await create('b', { scopeMap: 'a' });
  await operator.call(deleteToken, { name: 'a' });
  assert.deepEqual((await operator.call(showScopeMap, { name: 'a' })).actions, actions);
  await assert.rejects(operator.call(deleteScopeMap, { name: 'a' }), (error: Error) => {
    return fault('conflict')(error) && /^scope map a is used by token b/.test(error.message);
  });
  await operator.call(deleteToken, { name: 'b' });
  await operator.call(deleteScopeMap, { name: 'a' });
  assert.equal((await rig.gateway.call(storageStatus, {})).scopeMaps, 0);
});

test('a scope map that an operator created stays when the token of its name is deleted', async () => {
  await using _rig = await Rig.open(buses);
  await operator.call(putScopeMap, { name: 'm', actions });
  await create('m', { scopeMap: 'm' });
  await operator.call(deleteToken, { name: 'm' });
  assert.deepEqual((await operator.call(showScopeMap, { name: 'm' })).actions, actions);
  await create('n');
  await operator.call(putScopeMap, { name: 'n', actions: [actions[0] as string] });
  await operator.call(deleteToken, { name: 'n' });
  await assert.rejects(operator.call(showScopeMap, { name: 'n' }), fault('account-unknown'));
});

test("system scope maps exist and can't be changed", async () => {
  await using _rig = await Rig.open(buses);
  for (const [name, systemActions] of Object.entries(systemScopeMaps)) {
    const found = await operator.call(showScopeMap, { name });
    assert.deepEqual(found, { name, actions: systemActions, system: true });
    await assert.rejects(operator.call(putScopeMap, { name, actions }), fault('denied'));
    await assert.rejects(operator.call(deleteScopeMap, { name }), fault('denied'));
  }
  await assert.rejects(operator.call(putScopeMap, { name: '_mine', actions }), fault('denied'));
});

test('a scope map can be replaced; its child names are in lower case, and its actions unique', async () => {
  await using rig = await Rig.open(buses);
  const first = await operator.call(putScopeMap, {
    name: 'm',
    description: 'words',
    actions: ['gateway/Child/config/read', ...actions, ...actions],
  });
  assert.deepEqual(first.actions, ['gateway/child/config/read', ...actions]);
  await create('t', { scopeMap: 'm' });
  const second = await operator.call(putScopeMap, { name: 'm', actions: [actions[0] as string] });
  assert.deepEqual(second, { name: 'm', description: 'words', actions: [actions[0]], system: false });
  assert.deepEqual((await accountOf('t'))?.actions, [actions[0]]);
  assert.equal(changes(rig), 3);
});

test('tokens and scope maps are listed in pages, in order', async () => {
  await using _rig = await Rig.open(buses);
  const names = ['B', 'a', 'a-1', 'a.1', 'c'];
  for (const name of [...names].reverse()) await create(name);
  const tokens: string[] = [];
  for (let more = true; more; ) {
    const after = tokens.at(-1);
    const page = await operator.call(listTokens, { limit: 2, ...(after !== undefined && { after }) });
    tokens.push(...page.tokens.map(({ name }) => name));
    more = page.more;
  }
  assert.deepEqual(tokens, [...names].sort());
  const scopeMaps: string[] = [];
  for (let more = true; more; ) {
    const after = scopeMaps.at(-1);
    const page = await operator.call(listScopeMaps, { limit: 2, ...(after && { after }) });
    scopeMaps.push(...page.scopeMaps.map(({ name }) => name));
    more = page.more;
  }
  assert.deepEqual(scopeMaps, [...names, ...Object.keys(systemScopeMaps)].sort());
});

test('a page of the longest scope maps fits into a message', async () => {
  await using _rig = await Rig.open(buses);
  const long = Array.from({ length: 500 }, (_, i) => `repositories/${'x'.repeat(250)}${i}/metadata/write`);
  for (let i = 0; i < 6; i += 1) await operator.call(putScopeMap, { name: `m${i}`, actions: long });
  const found: string[] = [];
  for (let more = true; more; ) {
    const after = found.at(-1);
    const page = await operator.call(listScopeMaps, { limit: 20, ...(after && { after }) });
    found.push(...page.scopeMaps.map(({ name }) => name));
    more = page.more;
  }
  assert.equal(found.length, 6 + Object.keys(systemScopeMaps).length);
  await assert.rejects(
    operator.call(putScopeMap, { name: 'm', actions: [...long, 'repositories/a/content/read'] }),
    fault('malformed'),
  );
});

test('after a restart all accounts exist, and the signing key is the same', async () => {
  await using rig = await Rig.open(buses);
  const [one, two] = await Promise.all([
    buses.gateway.call(accountsStatus, {}),
    buses.gateway.call(accountsStatus, {}),
  ]);
  assert.equal(one?.key, two?.key);
  assert.equal(Buffer.from(one?.key ?? '', 'base64url').byteLength, 32);
  const { password, token } = await create('t');
  await rig.restart();
  assert.deepEqual(await buses.gateway.call(accountsStatus, {}), { tokens: 1, key: one?.key });
  assert.deepEqual(await operator.call(showToken, { name: 't' }), token);
  assert.ok(isValid(password, (await accountOf('t'))?.passwords[0]?.hash ?? ''));
});

test('a layer has at most 20,000 tokens and scope maps', async () => {
  await using rig = await Rig.open(buses);
  await rig.stop();
  const metadata = await Metadata.open(join(rig.data, 'metadata'));
  const record = { enabled: true, scopeMap: '_repositories_pull', created: 1, passwords: [] };
  const all = Array.from({ length: 20_000 }, (_, i) => put.token(`t${i}`, record));
  await metadata.write(all.flat());
  await metadata[Symbol.asyncDispose]();
  await rig.start();
  await assert.rejects(create('one-more'), fault('denied'));
  assert.equal((await rig.gateway.call(storageStatus, {})).tokens, 20_000);
  await operator.call(deleteToken, { name: 't7' });
  await create('one-more');
});

test("the gateway and the syncer can't request tokens", async () => {
  await using _rig = await Rig.open(buses);
  await create('t');
  const show = (bus: Bus) => bus.call(showToken, { name: 't' });
  await Promise.all([buses.gateway, buses.syncer].map((bus) => assert.rejects(show(bus), fault('denied'))));
  assert.equal((await show(operator)).name, 't');
});
