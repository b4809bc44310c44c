import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  changeToken,
  createToken,
  deleteScopeMap,
  deleteToken,
  putScopeMap,
  rotateToken,
} from '#proto/accounts/accounts.ts';
import { activateChild, deactivateChild } from '#proto/accounts/children.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { collectGarbage, scrub } from '#proto/content/maintenance.ts';
import { declareAccounts } from '#proto/document/declared-accounts.ts';
import { type AuditEntry, addAudit } from '#proto/status/audit.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { AuditFile } from '../../../services/storage/audit/audit-file.ts';
import { type Buses, connectAll, fault, Rig } from '../rig.ts';

/** The audit log: who did what. */

let buses: Buses;
let operator: Bus;
let bridge: Bus;
let folder: string;
before(async () => {
  buses = await connectAll();
  [operator, bridge] = (await Promise.all(
    (['operator', 'twin-bridge'] as const).map((user) => buses.server.connect(user)),
  )) as [Bus, Bus];
  folder = await mkdtemp(join(tmpdir(), 'terrace-audit-'));
});
after(async () => {
  await rm(folder, { recursive: true });
  await buses.server[Symbol.asyncDispose]();
});

type Line = Omit<AuditEntry, 'at'> & { time: string; id: string; layer: string };

async function linesOf(rig: Rig): Promise<Line[]> {
  const text = await readFile(join(rig.data, 'log/audit.log'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** The lines without their time, id and layer. */
const withoutOrigin = (lines: Line[]) =>
  lines.map(({ time: _time, id: _id, layer: _layer, ...rest }) => JSON.parse(JSON.stringify(rest)));

test('changes of accounts, scope maps and children, and maintenance, are logged before and after, without secrets', async () => {
  await using rig = await Rig.open(buses);
  const instance = '00000000-0000-4000-8000-000000000000';
  const actions = ['repositories/a/content/read'];
  const by = { behalf: 'jo' };
  const secrets: string[] = [];
  secrets.push((await operator.call(createToken, { name: 'ci', actions }, by)).password);
  secrets.push((await operator.call(rotateToken, { name: 'ci', password: 'password2' }, by)).password);
  await operator.call(changeToken, { name: 'ci', enabled: false }, by);
  await assert.rejects(operator.call(createToken, { name: 'ci', actions }, by), fault('exists'));
  await operator.call(deleteToken, { name: 'ci' }, by);
  await operator.call(putScopeMap, { name: 'readers', actions }, by);
  await operator.call(deleteScopeMap, { name: 'readers' }, by);
  await rig.gateway.call(activateChild, { name: 'line-1', instance });
  await bridge.call(deactivateChild, { name: 'line-1' });
  await operator.call(collectGarbage, { dryRun: true }, by);
  await operator.call(collectGarbage, { dryRun: false }, by);
  await operator.call(scrub, {}, by);
  const lines = await linesOf(rig);
  for (const { time, layer } of lines) {
    assert.match(time, /^2030-01-01T00:00:00\.\d{3}Z$/);
    assert.equal(layer, 'layer');
  }
  const author = { account: '_operator', person: 'jo' };
  const beginAndEnd = (action: string, more: object, done = {}) => [
    { ...author, action, ...more, outcome: 'begun' },
    { ...author, action, ...more, ...done, outcome: 'done' },
  ];
  const exists = 'token ci already exists: rotate its password, or choose another name';
  const created = { action: 'token/create', subject: 'ci', detail: { actions } };
  assert.deepEqual(withoutOrigin(lines), [
    ...beginAndEnd('token/create', { subject: 'ci', detail: { actions } }),
    ...beginAndEnd('token/rotate', { subject: 'ci', detail: { password: 'password2' } }),
    ...beginAndEnd('token/change', { subject: 'ci', detail: { enabled: false } }),
    { ...author, ...created, outcome: 'begun' },
    { ...author, ...created, outcome: 'failed', reason: exists },
    ...beginAndEnd('token/delete', { subject: 'ci' }),
    ...beginAndEnd('scope/put', { subject: 'readers', detail: { actions } }),
    ...beginAndEnd('scope/delete', { subject: 'readers' }),
    ...beginAndEnd('child/deactivate', { subject: 'line-1' }).map(({ person: _person, ...line }) => ({
      ...line,
      account: '_twin-bridge',
    })),
    ...beginAndEnd('garbage/collect', {}, { detail: { links: 0, blobs: 0, bytes: 0, ingests: 0 } }),
    ...beginAndEnd('scrub/run', {}, { detail: { checked: 0, damaged: 0 } }),
  ]);
  const text = JSON.stringify(lines);
  for (const secret of [...secrets, 'scrypt']) assert.ok(!text.includes(secret));
  assert.equal((await stat(join(rig.data, 'log/audit.log'))).mode & 0o777, 0o600);
});

test('a change of rights is in the audit log before it is made', async () => {
  await using rig = await Rig.open(buses);
  await rig.stop();
  // No change can be made from here on: metadata is closed.
  await assert.rejects(
    rig.storage.audit.change({ action: 'token/delete', subject: 'ci' }, () =>
      rig.storage.accounts.delete('ci'),
    ),
  );
  const [begun, failed] = await linesOf(rig);
  assert.deepEqual([begun?.outcome, failed?.outcome], ['begun', 'failed']);
  await rig.start();
});

test('declared accounts are in the audit log when they change, not each time that they are declared', async () => {
  await using rig = await Rig.open(buses);
  const hash = `scrypt$14$8$1$${'a'.repeat(22)}$${'b'.repeat(43)}`;
  const declared = (enabled: boolean) => [
    { name: 'ci', enabled, actions: ['repositories/a/content/read'], passwords: [{ hash }] },
  ];
  for (const enabled of [true, true, false]) {
    await bridge.call(declareAccounts, { accounts: declared(enabled) });
  }
  await bridge.call(declareAccounts, { accounts: [] });
  const lines = (await linesOf(rig)).filter(({ outcome }) => outcome === 'done');
  assert.deepEqual(
    lines.map(({ account, action, detail }) => [account, action, detail]),
    [
      ['_twin-bridge', 'accounts/declare', { tokens: ['ci'], scopeMaps: ['ci'] }],
      ['_twin-bridge', 'accounts/declare', { tokens: ['ci'] }],
      ['_twin-bridge', 'accounts/declare', { deletedTokens: ['ci'], deletedScopeMaps: ['ci'] }],
    ],
  );
});

test('the gateway adds entries of clients, twin-bridge of the configuration, and no other user adds any', async () => {
  await using rig = await Rig.open(buses);
  const entry = { at: rig.now, action: 'content/write', outcome: 'written' as const, account: 'ci' };
  await rig.gateway.call(addAudit, { entries: [entry] });
  await bridge.call(addAudit, { entries: [{ ...entry, action: 'configuration/change' }] });
  await assert.rejects(rig.storage.audit.add([entry], { user: 'syncer' }), fault('denied'));
  await assert.rejects(rig.storage.audit.add([entry], {}), fault('denied'));
  assert.deepEqual(
    (await linesOf(rig)).map(({ action, account }) => [action, account]),
    [
      ['content/write', 'ci'],
      ['configuration/change', '_twin-bridge'],
    ],
  );
});

test('names from clients are escaped in the file, so that they control no terminal', async () => {
  await using rig = await Rig.open(buses);
  const reference = '\u009b2J\u001b]52;c;eA==\u0007\u202e\u007f';
  const entry = { at: rig.now, action: 'content/write', outcome: 'refused' as const, reference };
  await rig.gateway.call(addAudit, { entries: [entry] });
  const text = await readFile(join(rig.data, 'log/audit.log'), 'utf8');
  assert.match(text, /^[\x20-\x7e\n]*$/);
  assert.equal((await linesOf(rig))[0]?.reference, reference);
});

test("an audit log that can't be written blocks nothing, and is reported in the status", async () => {
  await using rig = await Rig.open(buses);
  await writeFile(join(rig.data, 'log'), 'not a folder');
  await operator.call(createToken, { name: 'ci', actions: ['repositories/a/content/read'] });
  const { audit } = await operator.call(storageStatus, {});
  assert.deepEqual([audit?.lost, audit?.reason], [2, "log/audit.log can't be written (EEXIST)"]);
  await rm(join(rig.data, 'log'));
  await operator.call(deleteToken, { name: 'ci' });
  assert.equal((await linesOf(rig)).length, 2, 'it continues by itself');
});

test('the file is rotated at its size limit, and a line that a crash cut off stays a line of its own', async () => {
  const path = join(folder, 'rotated/audit.log');
  await mkdir(join(folder, 'rotated'));
  await writeFile(path, '{"torn');
  await using file = new AuditFile(path, 1_000);
  const line = (n: number) => `${n} ${'x'.repeat(90)}`;
  await Promise.all(Array.from({ length: 200 }, (_, n) => file.append([() => line(n)], n % 50 === 0)));
  const names = (await readdir(join(folder, 'rotated'))).sort();
  assert.deepEqual(names, ['audit.log', ...[1, 2, 3, 4, 5, 6, 7].map((n) => `audit.log.${n}`)]);
  let last = 199;
  for (const name of ['audit.log', 'audit.log.1', 'audit.log.2']) {
    const text = await readFile(join(folder, 'rotated', name), 'utf8');
    assert.ok(text.length < 1_000 + 100, `${text.length}`);
    for (const found of text.trimEnd().split('\n').reverse()) assert.equal(found, line(last--));
  }
  const torn = join(folder, 'torn.log');
  await writeFile(torn, '{"torn');
  await using other = new AuditFile(torn);
  await other.append([() => 'whole'], true);
  assert.equal(await readFile(torn, 'utf8'), '{"torn\nwhole\n');
});
