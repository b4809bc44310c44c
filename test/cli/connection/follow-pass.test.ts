import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { COORDINATOR_KEY, LINK_KEY, lease, linkStatus } from '#proto/status/status.ts';
import { type PassResult, passFinished, passStarted, startPass } from '#proto/sync/passes.ts';
import { followPass } from '../../../cli/connection/follow-pass.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { patience } from '../../support/until.ts';

/** What `terrace sync` waits for, with a coordinator that does as the test says. */

let server: TestBus;
let syncer: Bus;
let operator: Bus;
before(async () => {
  server = await TestBus.start();
  [syncer, operator] = await Promise.all([server.connect('syncer'), server.connect('operator')]);
});
after(() => server[Symbol.asyncDispose]());

const result = (pass: string, ok = true): PassResult => ({
  pass,
  ok,
  taken: 1,
  dropped: 0,
  sent: 0,
  withdrawn: 0,
  parked: 0,
  failed: 0,
  failures: [],
  ms: 1,
});
let serial = 0;

/** Answers each request with a new pass, and does with it as the n-th script says. */
async function coordinator(...scripts: ((pass: string) => void)[]) {
  let asked = 0;
  const passes: string[] = [];
  const end = syncer.serve(startPass, async () => {
    serial += 1;
    const pass = `pass-${serial}`;
    passes.push(pass);
    const script = scripts[Math.min(asked, scripts.length - 1)];
    asked += 1;
    script?.(pass);
    return { pass };
  });
  await syncer.flush();
  return { passes, [Symbol.dispose]: end };
}
const start = (pass: string) =>
  syncer.publish(passStarted, { pass, coordinator: 'syncer-1', cause: 'request' });
const finish = (pass: string, ok = true) => syncer.publish(passFinished, result(pass, ok));

test('it returns what the pass came to, even where that is said before the answer', async () => {
  using _ = await coordinator((pass) => {
    finish('another-pass', false);
    start(pass);
    finish(pass);
  });
  const heard: string[] = [];
  const found = await followPass(operator, { onEvent: ({ type }) => heard.push(type) });
  assert.equal(found.ok, true);
  assert.ok(heard.includes('terrace.pass.finished'));
});

test('a pass that failed is a result too', async () => {
  using _ = await coordinator((pass) => finish(pass, false));
  assert.equal((await followPass(operator)).ok, false);
});

test('a pass whose coordinator is gone is asked for again', async () => {
  using on = await coordinator(start, finish);
  const found = await followPass(operator, { quietMs: 100 });
  assert.equal(found.pass, on.passes[1]);
});

test('a coordinator that dies with the question in hand is not the end of it', async () => {
  await using impatient = await Bus.connect({
    url: server.url,
    user: 'operator',
    password: 'secret-of-operator',
    layer: 'test',
    instance: 'impatient',
    log: quiet,
    limits: { signOfLifeMs: patience(20), silenceMs: patience(100) },
  });
  const asked = Promise.withResolvers<void>();
  const doomed = await server.connect('syncer', 'doomed');
  doomed.serve(startPass, () => {
    asked.resolve();
    return new Promise(() => {});
  });
  await doomed.flush();
  const following = followPass(impatient);
  following.catch(() => {});
  await asked.promise;
  await doomed[Symbol.asyncDispose]();
  using on = await coordinator(finish);
  assert.equal((await following).pass, on.passes[0]);
});

test('a pass is asked for again as soon as another coordinator begins one', async () => {
  const takeover = (pass: string) => {
    start(pass);
    syncer.publish(passStarted, { pass: 'its-own', coordinator: 'syncer-2', cause: 'start' });
  };
  using on = await coordinator(takeover, finish);
  assert.equal((await followPass(operator, { quietMs: patience() })).pass, on.passes[1]);
});

test('a silent pass is waited for as long as its coordinator is at work', async () => {
  using on = await coordinator(start, () => assert.fail('asked twice'));
  await syncer.put(lease, COORDINATOR_KEY, { holder: 'syncer-1' });
  await syncer.put(linkStatus, LINK_KEY, { state: 'Syncing', since: 1, coordinator: 'syncer-1' });
  const following = followPass(operator, { quietMs: 60 });
  await sleep(400);
  finish(on.passes[0] as string);
  assert.equal((await following).pass, on.passes[0]);
  await syncer.remove(lease, COORDINATOR_KEY);
});

test('what is asked of the pass is said, and a pass that a new configuration ended is asked for again', async () => {
  const asked: unknown[] = [];
  const end = syncer.serve(startPass, async (query) => {
    asked.push(query);
    const pass = `pass-of-${asked.length}`;
    const ended = asked.length === 1 ? { ended: 'configuration' as const } : {};
    syncer.publish(passFinished, { ...result(pass), ...ended });
    return { pass };
  });
  const found = await followPass(operator, { full: true, now: true });
  await end();
  assert.equal(found.pass, 'pass-of-2');
  assert.deepEqual(asked, [
    { full: true, now: true },
    { full: true, now: true },
  ]);
});

test('passes that never end are given up', async () => {
  using on = await coordinator(start);
  await assert.rejects(followPass(operator, { quietMs: 60, maxRequests: 3 }), (error) =>
    Fault.is(error, 'unavailable'),
  );
  assert.equal(on.passes.length, 3);
});

test('without a coordinator it gives up when the patience is over', async () => {
  await assert.rejects(followPass(operator, { patience: 300 }), (error) => Fault.is(error, 'unavailable'));
});

test('who asks may leave', async () => {
  using _ = await coordinator(start);
  const end = new AbortController();
  const following = followPass(operator, { signal: end.signal });
  setTimeout(() => end.abort(new Error('left')), 100);
  await assert.rejects(following, /left/);
});
