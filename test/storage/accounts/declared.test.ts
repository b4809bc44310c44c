import assert from 'node:assert/strict';
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  changeToken,
  createToken,
  deleteToken,
  getAccount,
  listTokens,
  putScopeMap,
  rotateToken,
  showScopeMap,
} from '#proto/accounts/accounts.ts';
import { hashPassword, verifyPassword } from '#proto/accounts/password-hash.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { mayAsk } from '#proto/bus/permissions.ts';
import { type DeclaredAccount, declareAccounts } from '#proto/document/declared-accounts.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { Metadata, put } from '../../../services/storage/metadata/metadata.ts';
import { type Buses, connectAll, fault, Rig } from '../rig.ts';

let buses: Buses;
let operator: Bus;
let bridge: Bus;
let folder: string;
const HASH = await hashPassword('a long password');
before(async () => {
  buses = await connectAll();
  operator = await buses.server.connect('operator');
  bridge = await buses.server.connect('twin-bridge');
  folder = await mkdtemp(join(tmpdir(), 'terrace-secrets-'));
});
after(async () => {
  await buses.server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const READ = ['repositories/line/*/content/read'];
const account = (name: string, more: Partial<DeclaredAccount> = {}): DeclaredAccount => ({
  name,
  enabled: true,
  actions: READ,
  passwords: [{ hash: HASH }],
  ...more,
});
const declare = async (...accounts: DeclaredAccount[]) =>
  (await bridge.call(declareAccounts, { accounts })).complaints;
const accountOf = async (name: string) => (await buses.gateway.call(getAccount, { name })).account;
const names = async () =>
  (await operator.call(listTokens, { limit: 100 })).tokens.map(({ name, declared }) =>
    declared ? `${name}*` : name,
  );
const changes = (rig: Rig) => rig.events.filter(([type]) => type === 'account.changed').length;

test('accounts match their declaration and are deleted without one; those of operators stay', async () => {
  await using rig = await Rig.open(buses);
  await operator.call(createToken, { name: 'mine', actions: READ });
  assert.deepEqual(await declare(account('ci'), account('ops', { enabled: false })), []);
  assert.deepEqual(await names(), ['ci*', 'mine', 'ops*']);
  const ci = await accountOf('ci');
  assert.deepEqual(
    [ci?.enabled, ci?.actions, ci?.passwords],
    [true, READ, [{ name: 'password1', hash: HASH, created: rig.now }]],
  );
  const before = changes(rig);
  assert.deepEqual(await declare(account('ci'), account('ops', { enabled: false })), []);
  assert.equal(changes(rig), before, 'the same declaration changes nothing');
  const { actions: _actions, ...shared } = account('ci', { scopeMap: '_repositories_pull' });
  await declare(shared);
  assert.deepEqual(await names(), ['ci*', 'mine']);
  assert.deepEqual((await accountOf('ci'))?.actions, ['repositories/*/content/read']);
  await assert.rejects(operator.call(showScopeMap, { name: 'ci' }), fault('account-unknown'));
  await declare();
  assert.deepEqual(await names(), ['mine']);
});

test('declared accounts exist after a restart, and an unusable account does not hold up the others', async () => {
  await using rig = await Rig.open(buses);
  const { actions: _actions, ...nowhere } = account('c', { scopeMap: 'nowhere' });
  const complaints = await declare(
    account('a'),
    account('b', { passwords: [{ secretFile: '/none' }] }),
    nowhere,
  );
  assert.match(complaints[0] ?? '', /^the secret file \/none of b can't be read \(ENOENT\): mount it there$/);
  assert.match(complaints[1] ?? '', /^c is declared with scope map nowhere, which does not exist: create it/);
  assert.equal(complaints.length, 2);
  assert.deepEqual((await operator.call(storageStatus, {})).accounts, complaints);
  await rig.restart();
  assert.deepEqual(await names(), ['a*', 'b*']);
  assert.deepEqual((await accountOf('b'))?.passwords, []);
  await rig.storage.declared.renew();
  assert.deepEqual((await operator.call(storageStatus, {})).accounts, complaints);
  await operator.call(putScopeMap, { name: 'nowhere', actions: READ });
  await rig.storage.declared.renew();
  assert.deepEqual(await names(), ['a*', 'b*', 'c*']);
});

test('a declaration that a kill interrupted is applied after the next start', async () => {
  await using rig = await Rig.open(buses);
  await rig.stop();
  const metadata = await Metadata.open(join(rig.data, 'metadata'));
  await metadata.write(put.declared([account('ci')]));
  await metadata[Symbol.asyncDispose]();
  await rig.start();
  await rig.storage.declared.renew();
  assert.deepEqual(await names(), ['ci*']);
});

test("an operator's token is not overwritten; once it is deleted, the declared one is created", async () => {
  await using rig = await Rig.open(buses);
  await operator.call(createToken, { name: 'ci', actions: ['repositories/*/content/read'] });
  const mine = await accountOf('ci');
  assert.match(
    (await declare(account('ci'), account('b')))[0] ?? '',
    /^ci is declared, but an undeclared token of/,
  );
  assert.deepEqual(await accountOf('ci'), mine);
  await declare();
  assert.deepEqual(await accountOf('ci'), mine);
  await declare(account('ci'));
  await operator.call(deleteToken, { name: 'ci' });
  await rig.storage.declared.renew();
  assert.deepEqual((await accountOf('ci'))?.actions, READ);
  assert.equal((await operator.call(storageStatus, {})).accounts, undefined);
});

test('only the document can change its accounts', async () => {
  await using _rig = await Rig.open(buses);
  await declare(account('ci'));
  const before = await accountOf('ci');
  const denied = (error: unknown) =>
    fault('denied')(error) &&
    /is declared in the configuration document|belongs to an account in/.test(String(error));
  await assert.rejects(operator.call(rotateToken, { name: 'ci', password: 'password2' }), denied);
  await assert.rejects(operator.call(changeToken, { name: 'ci', enabled: false }), denied);
  await assert.rejects(operator.call(deleteToken, { name: 'ci' }), denied);
  await assert.rejects(operator.call(putScopeMap, { name: 'ci', actions: READ }), denied);
  assert.deepEqual(await accountOf('ci'), before);
  for (const user of ['gateway', 'syncer', 'operator'] as const) {
    assert.ok(!mayAsk(user, declareAccounts.subject), user);
  }
});

test('a secret file is hashed once, and again when its content changes', async () => {
  await using rig = await Rig.open(buses);
  const path = join(folder, 'secret');
  const put = async (text: string) => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
    await rig.storage.declared.renew();
    return (await operator.call(storageStatus, {})).accounts;
  };
  const hash = async () => (await accountOf('ci'))?.passwords[0]?.hash ?? '';
  await writeFile(path, '\uFEFFthe first password\r\n');
  assert.deepEqual(await declare(account('ci', { passwords: [{ secretFile: path }] })), []);
  const first = await hash();
  assert.ok(await verifyPassword('the first password', first));
  await rig.restart();
  assert.equal(await put('the first password'), undefined);
  assert.equal(await hash(), first, 'the same password keeps its hash');
  assert.match(
    (await put('short'))?.[0] ?? '',
    /has 5 characters: .* at least 12; until then, the previous password/,
  );
  assert.match((await put('two lines are\nno password'))?.[0] ?? '', /has more than one line/);
  assert.equal(await hash(), first);
  assert.equal(await put('the second password\n'), undefined);
  assert.ok(await verifyPassword('the second password', await hash()));
  if (process.getuid?.() !== 0) {
    await chmod(path, 0);
    await rig.storage.declared.renew();
    assert.ok(
      await verifyPassword('the second password', await hash()),
      'the hash stays while the file is unreadable',
    );
  }
  const text = JSON.stringify([rig.events, await operator.call(listTokens, { limit: 9 })]);
  assert.doesNotMatch(text, /scrypt|password\b.*second/);
});

test('a scope map that an operator assigned to another token stays when the account is deleted', async () => {
  await using _rig = await Rig.open(buses);
  await declare(account('ci'));
  await operator.call(createToken, { name: 'mine', scopeMap: 'ci' });
  await declare();
  assert.deepEqual((await accountOf('mine'))?.actions, READ);
  await operator.call(putScopeMap, { name: 'ci', actions: ['repositories/x/content/read'] });
});
