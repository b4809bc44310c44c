import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { activateChild } from '#proto/accounts/children.ts';
import { hashPassword } from '#proto/accounts/password-hash.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { collectGarbage } from '#proto/content/maintenance.ts';
import { Fault, faultCodes } from '#proto/contract/fault.ts';
import { declareAccounts } from '#proto/document/declared-accounts.ts';
import { type PassResult, passFinished, startPass } from '#proto/sync/passes.ts';
import { emptyResult } from '../../services/syncer/reconcile/context/pass-stats.ts';
import { gcMethod } from '../../services/twin-bridge/methods/gc.ts';
import type { DirectMethod } from '../../services/twin-bridge/methods/method.ts';
import { directMethods } from '../../services/twin-bridge/methods/methods.ts';
import { statusOf } from '../../services/twin-bridge/methods/statuses.ts';
import { syncMethod } from '../../services/twin-bridge/methods/sync.ts';
import { type Buses, connectAll, Rig } from '../storage/rig.ts';
import { quiet } from '../support/bus.ts';

let buses: Buses;
let bus: Bus;
let operator: Bus;
let methods: ReadonlyMap<string, DirectMethod>;
const logged: unknown[] = [];
const record = (...entry: unknown[]) => void logged.push(entry);
const log = { debug: record, info: record, warn: record, error: record };
before(async () => {
  buses = await connectAll();
  bus = await buses.server.connect('twin-bridge');
  operator = await buses.server.connect('operator');
  methods = directMethods(bus, log, async () => ({ connectionState: 'Online' }));
});
after(() => buses.server[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: answers are JSON
type Answer = { status: number; payload: any };
const signal = new AbortController().signal;
const invoke = async (name: string, payload: unknown = null): Promise<Answer> =>
  (await methods.get(name)?.(payload, signal)) as Answer;

const RESULT: Omit<PassResult, 'pass'> = {
  ok: true,
  taken: 1,
  dropped: 0,
  sent: 0,
  withdrawn: 0,
  failed: 0,
  parked: 0,
  failures: [],
  ms: 3,
};

/** A syncer that accepts passes. @param ends whether each pass ends at once */
function passes(ends: boolean): { requests: unknown[] } & Disposable {
  const requests: unknown[] = [];
  const unserve = buses.syncer.serve(startPass, async (request) => {
    requests.push(request);
    const pass = `pass-${requests.length}`;
    if (ends) buses.syncer.publish(passFinished, { ...RESULT, pass });
    return { pass };
  });
  return { requests, [Symbol.dispose]: () => void unserve() };
}

test('sync and resync wait for the end of their pass', async () => {
  using syncer = passes(true);
  assert.deepEqual(await invoke('sync'), {
    status: 200,
    payload: { ...RESULT, pass: 'pass-1', state: 'Succeeded' },
  });
  assert.equal((await invoke('resync', { now: true })).status, 200);
  assert.deepEqual(syncer.requests, [{}, { full: true, now: true }]);
});

test('sync waits for the next pass if a new configuration ended the first one', async () => {
  let count = 0;
  const unserve = buses.syncer.serve(startPass, async () => {
    count += 1;
    const pass = `pass-${count}`;
    const ended = count === 1 ? { ended: 'configuration' as const, ok: false } : {};
    buses.syncer.publish(passFinished, { ...RESULT, pass, ...ended });
    return { pass };
  });
  const { status, payload } = await invoke('sync');
  assert.deepEqual([status, payload.pass, payload.ok], [200, 'pass-2', true]);
  await unserve();
});

test('a pass that is still running is answered with its id', async () => {
  using _syncer = passes(false);
  const sync = syncMethod(bus, quiet, false, 50);
  assert.deepEqual(await sync(null, signal), { status: 202, payload: { pass: 'pass-1', state: 'Syncing' } });
  assert.deepEqual(await invoke('sync', { wait: false }), {
    status: 202,
    payload: { pass: 'pass-2', state: 'Syncing' },
  });
});

test('a refusal of the coordinator is answered with its status', async () => {
  for (const [code, status] of [
    ['config-invalid', 409],
    ['window-closed', 423],
    ['paused', 423],
  ] as const) {
    const unserve = buses.syncer.serve(startPass, async () => {
      throw new Fault(code, 'not now');
    });
    assert.deepEqual(await invoke('sync'), { status, payload: { code, message: 'not now' } });
    await unserve();
  }
  for (const code of faultCodes) assert.ok(statusOf(code) >= 400);
});

test('the link is paused and resumed, with the service as the one who did it', async () => {
  await using rig = await Rig.open(buses);
  const { status, payload } = await invoke('pause', { reason: 'welding', for: 'PT2H' });
  const since = new Date(rig.now).toISOString();
  const until = new Date(rig.now + 7_200_000).toISOString();
  const paused = { since, until, by: '_twin-bridge', reason: 'welding' };
  assert.deepEqual([status, payload], [200, { paused }]);
  assert.deepEqual(await invoke('resume'), { status: 200, payload: { wasPaused: true, was: paused } });
  assert.deepEqual(await invoke('resume'), { status: 200, payload: { wasPaused: false } });
});

test('an invalid payload is refused with the name of the field', async () => {
  for (const [name, payload, pattern] of [
    ['sync', { wait: 'yes' }, /^wait is not valid: write true or false/],
    ['sync', { when: 1 }, /^when is not a field: the fields are wait, now$/],
    ['sync', 7, /^the payload is not valid: write an object/],
    ['pause', { for: 'ever' }, /^for is not valid: write a duration from PT1S to P366D/],
    ['pause', { for: 'P400D' }, /^for is not valid/],
    ['pause', { reason: '' }, /^reason is not valid: write a text of at most 400/],
    ['resume', { now: true }, /^now is not a field: the method has no fields$/],
    ['status', { x: 1 }, /^x is not a field: the method has no fields$/],
    ['gc', { dryRun: 1 }, /^dryRun is not valid/],
    ['deactivate', null, /^child is missing: write the name of a layer below/],
    ['deactivate', { child: 'A' }, /^child is not valid/],
    ['rotateToken', {}, /^token is missing/],
    ['rotateToken', { token: 'a', password: 'p' }, /^password is not valid: write password1 or password2/],
    ['rotateToken', { token: 'a', expires: 'soon' }, /^expires is not valid: write a duration/],
    ['events', { count: 0 }, /^count is not valid: write a whole number from 1 to 500/],
    ['rotateToken', { token: 'a', expires: '2027-02-30' }, /^expires is not valid: write a duration/],
    ['rotateToken', { token: 'a', expires: '2020-01-31' }, /^expires is in the past/],
    ...[
      'yesterday',
      '2026-99-99',
      '2026-02-30',
      '2026-05-01T25:00Z',
      '2026-05-01 noon',
      '99999999999999d',
      '',
      '-1',
    ].map(
      (since) => ['events', { since }, /^since is not valid: write an age \(2h, 30m, 1d\), a time/] as const,
    ),
    [
      'events',
      { count: 0, x: 1, since: -1 },
      /^(?=.*count is not valid)(?=.*x is not a field)(?=.*since is not)/,
    ],
    ['events', { since: -1 }, /^since is not valid: write an age/],
    ['events', { types: [1] }, /^types\.0 is not valid: write a list/],
  ] as const) {
    const { status, payload: answer } = await invoke(name, payload);
    assert.equal(status, 400, `${name} ${JSON.stringify(payload)}`);
    assert.equal(answer.code, 'malformed');
    assert.match(answer.message, pattern);
  }
});

test('garbage collection answers with its result', async () => {
  await using _rig = await Rig.open(buses);
  const { status, payload } = await invoke('gc', { dryRun: true });
  assert.deepEqual([status, payload.dryRun, payload.blobs], [200, true, 0]);
});

test('a long garbage collection is answered as running, and continues', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const counts = { links: 0, blobs: 0, bytes: 0, ingests: 0, repositories: 0, strays: 0, ms: 0 };
  const unserve = buses.storage.serve(collectGarbage, async ({ dryRun }) => {
    await promise;
    return { dryRun, ...counts };
  });
  const answer = await gcMethod(bus, quiet, 50)(null, signal);
  assert.deepEqual(answer, { status: 202, payload: { state: 'Running', dryRun: false } });
  resolve();
  await unserve();
});

test('a new password is answered once, and neither logged nor stored', async () => {
  await using rig = await Rig.open(buses);
  await operator.call(createToken, { name: 'ci', actions: ['repositories/*/content/read'] });
  const { status, payload } = await invoke('rotateToken', { token: 'ci', expires: '2031-01-31' });
  assert.equal(status, 200);
  assert.deepEqual([payload.token, payload.name], ['ci', 'password2']);
  assert.match(payload.password, /^[A-Za-z0-9]{43}$/);
  assert.ok(Date.parse(payload.expires) > rig.now);
  assert.ok(!JSON.stringify([logged, rig.events]).includes(payload.password));
  assert.equal((await invoke('rotateToken', { token: 'none' })).status, 404);
  const account = {
    name: 'declared',
    enabled: true,
    scopeMap: '_repositories_pull',
    passwords: [{ hash: await hashPassword('x') }],
  };
  await bus.call(declareAccounts, { accounts: [account] });
  const refused = await invoke('rotateToken', { token: 'declared' });
  assert.equal(refused.status, 403);
  assert.match(refused.payload.message, /is declared in the configuration document/);
});

test('deactivate ends the activation of a layer below', async () => {
  await using _rig = await Rig.open(buses);
  const instance = '0f8fad5b-d9cb-469f-a165-70867728950e';
  await operator.call(createToken, { name: 'line-1', actions: ['gateway/line-1/config/write'] });
  await buses.gateway.call(activateChild, { name: 'line-1', instance });
  const { status, payload } = await invoke('deactivate', { child: 'line-1' });
  assert.deepEqual([status, payload.active, payload.was.instance], [200, true, instance]);
  assert.deepEqual((await invoke('deactivate', { child: 'line-1' })).payload, {
    child: 'line-1',
    active: false,
  });
  assert.equal((await invoke('deactivate', { child: 'line-2' })).status, 404);
});

test('events answers with the last events, or with those from a sequence on, in pages', async () => {
  for (let at = 0; at < 30; at += 1) {
    const failures = Array(at < 20 ? 1 : 10).fill({ code: 'internal', reason: 'x'.repeat(2_000) });
    buses.syncer.publish(passFinished, { ...emptyResult({ id: `e-${at}`, cause: 'test' }), failures });
  }
  while ((await invoke('events', { count: 1 })).payload.events[0]?.data?.pass !== 'e-29');
  const passesOf = ({ payload }: Answer) =>
    payload.events.map(({ data }: { data: { pass: string } }) => data.pass);
  const last = await invoke('events', { count: 100, types: ['pass.finished'] });
  assert.deepEqual(passesOf(last), ['e-26', 'e-27', 'e-28', 'e-29'], 'only as many events as fit');
  assert.ok(JSON.stringify(last).length < 110_000);
  const [first] = (await invoke('events', { since: '1h', types: ['pass.finished'], count: 1 })).payload
    .events;
  const page = await invoke('events', { since: first.sequence, types: ['pass'], count: 3 });
  assert.equal(page.payload.events.length, 3);
  assert.ok(page.payload.next > page.payload.events[2].sequence);
  const rest = await invoke('events', { since: page.payload.next, types: ['pass'], count: 2 });
  assert.ok(rest.payload.events[0].sequence >= page.payload.next);
  assert.deepEqual((await invoke('events', { types: ['blob.damaged'] })).payload, { events: [] });
});
