import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { childPath } from '#proto/accounts/children.ts';
import type { Link } from '#proto/api/link.ts';
import { garbageCollected, scrubFinished } from '#proto/content/maintenance.ts';
import { Fault } from '#proto/contract/fault.ts';
import { startPass } from '#proto/sync/passes.ts';
import { until } from '../../support/until.ts';
import { basic, Tokens } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { ApiClient } from './api-client.ts';

/** What an operator may do, each with its entry in the audit. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
let api: ApiClient;
/** Passes that were requested, and whether they are full. */
const passes: unknown[] = [];
let hasParent = false;

before(async () => {
  const open = await ApiClient.of(layer);
  const tokens = await Tokens.of(layer);
  const password = await tokens.create('ops', ['operate/read', 'operate/write']);
  const cell = basic('cell', await tokens.create('cell', ['gateway/cell/config/write']));
  api = open.as(basic('ops', password));
  const syncer = await layer.testBus.connect('syncer');
  syncer.serve(startPass, async ({ full = false, retry }) => {
    if (!hasParent) throw new Fault('config-invalid', 'the layer has no parent: configure one');
    passes.push(retry ?? full);
    return { pass: `p${passes.length}` };
  });
  const body = JSON.stringify({ instance: '00000000-0000-4000-8000-000000000000' });
  equal((await layer.fetch('PUT', childPath('cell'), { headers: cell, body })).status, 201);
});

const audited = (action: string) =>
  layer.logged
    .filter((entry) => entry.audit === true && entry.action === action)
    .map(({ message }) => message);

test('a pass is begun, with all or with what changed; without a parent, the answer says so', async () => {
  const refused = await api.send('POST', '/sync', { body: {} });
  equal(refused.status, 412);
  hasParent = true;
  deepEqual((await api.send('POST', '/sync')).body, { pass: 'p1' });
  deepEqual((await api.send('POST', '/sync', { body: { full: true } })).body, { pass: 'p2' });
  deepEqual((await api.send('POST', '/parked/retry')).body, { pass: 'p3' });
  const body = { repository: 'line/web', reference: '2.1' };
  deepEqual((await api.send('POST', '/parked/retry', { body })).body, { pass: 'p4' });
  deepEqual(passes, [false, true, {}, body]);
  await until(() => audited('parked/retry').length === 2);
  deepEqual(audited('pass/start'), ['refused', 'written', 'written']);
});

test('the link is paused, with a reason and a person, and resumed', async () => {
  const paused = await api.send('POST', '/link/pause', { body: { reason: 'maintenance' } });
  equal(paused.status, 200);
  await until(async () => ((await api.get('/link')).body as Link).paused?.reason === 'maintenance');
  equal(((await api.get('/link')).body as Link).paused?.by, 'ops');
  equal((await api.send('POST', '/link/resume')).status, 200);
  await until(async () => ((await api.get('/link')).body as Link).paused === undefined);
  deepEqual([audited('link/pause'), audited('link/resume')], [['written'], ['written']]);
});

test('garbage collection and scrub begin, and their events name the account', async () => {
  const ends: (string | undefined)[] = [];
  layer.bus.listen(garbageCollected, ({ data }) => ends.push(data.account));
  layer.bus.listen(scrubFinished, ({ data }) => ends.push(data.account));
  for (const path of ['/garbage-collection', '/scrub']) {
    const { status, body } = await api.send('POST', path);
    deepEqual([status, body], [202, { started: true }]);
  }
  await until(() => ends.length === 2);
  deepEqual(ends, ['ops', 'ops']);
});

test('a child is deactivated', async () => {
  const first = await api.send('DELETE', '/children/cell/activation');
  equal(first.status, 200);
  equal((first.body as { previous: { name: string } }).previous.name, 'cell');
  deepEqual((await api.send('DELETE', '/children/cell/activation')).body, {});
  equal((await api.send('DELETE', '/children/a_b/activation')).status, 400);
  ok(audited('child/deactivate').length >= 2);
});

test('unknown fields, wrong values and other bodies are refused, and name the field', async () => {
  for (const [path, body, message] of [
    ['/sync', { all: true }, /all/],
    ['/sync', { full: 'yes' }, /full/],
    ['/scrub', { rate: 1 }, /it has no fields/],
    ['/link/pause', { reason: 'x'.repeat(401) }, /reason/],
    ['/link/pause', { forMs: 1 }, /forMs/],
    ['/link/pause', [], /body/],
  ] as const) {
    const answer = await api.send('POST', path, { body });
    equal(answer.status, 400, JSON.stringify(body));
    match((answer.body as { errors: [{ message: string }] }).errors[0].message, message);
  }
  const large = await api.send('POST', '/sync', { body: { full: 'x'.repeat(20_000) } });
  equal(large.status, 413);
});

test('every changing operation of the document was answered with each of its results', () => {
  const changing = api.operations.filter((one) => !/^GET|session/.test(one));
  const done = new Set(
    [...api.met].filter((one) => /20[02]$/.test(one)).map((one) => one.split(' ').slice(0, 2).join(' ')),
  );
  deepEqual(
    changing.filter((one) => !done.has(one)),
    [],
  );
});
