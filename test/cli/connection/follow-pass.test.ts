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

/** How `terrace sync` requests a pass and waits for its end, with a scripted coordinator. */

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

/** Answers each request with a new pass, and runs the n-th script, or the last one, with it. */
async function coordinator(...scripts: ((pass: string) => void)[]) {
  let requests = 0;
  const passes: string[] = [];
  const end = syncer.serve(startPass, async () => {
    serial += 1;
    const pass = `pass-${serial}`;
    passes.push(pass);
    const script = scripts[Math.min(requests, scripts.length - 1)];
    requests += 1;
    script?.(pass);
    return { pass };
  });
  await syncer.flush();
  return { passes, [Symbol.dispose]: end };
}
const start = (pass: string) =>
  syncer.publish(passStarted, { pass, coordinator: 'syncer-1', cause: 'request' });
const finish = (pass: string, ok = true) => syncer.publish(passFinished, result(pass, ok));

test('the result of the pass is returned, even if it is published before the answer', async () => {
  using _ = await coordinator((pass) => {
    finish('another-pass', false);
    start(pass);
    finish(pass);
  });
  const received: string[] = [];
  const followed = await followPass(operator, { onEvent: ({ type }) => received.push(type) });
  assert.equal(followed.ok, true);
  assert.ok(received.includes('terrace.pass.finished'));
});

test('the result of a failed pass is returned', async () => {
  using _ = await coordinator((pass) => finish(pass, false));
  assert.equal((await followPass(operator)).ok, false);
});

test('a pass whose coordinator has ended is requested again', async () => {
  using scripted = await coordinator(start, finish);
  const followed = await followPass(operator, { quietMs: 100 });
  assert.equal(followed.pass, scripted.passes[1]);
});

test('the request is repeated if the coordinator ends before it answers', async () => {
  await using impatient = await Bus.connect({
    url: server.url,
    user: 'operator',
    password: 'secret-of-operator',
    layer: 'test',
    instance: 'impatient',
    log: quiet,
    limits: { signOfLifeMs: patience(20), silenceMs: patience(100) },
  });
  const requested = Promise.withResolvers<void>();
  const ending = await server.connect('syncer', 'ending');
  ending.serve(startPass, () => {
    requested.resolve();
    return new Promise(() => {});
  });
  await ending.flush();
  const following = followPass(impatient);
  following.catch(() => {});
  await requested.promise;
  await ending[Symbol.asyncDispose]();
  using scripted = await coordinator(finish);
  assert.equal((await following).pass, scripted.passes[0]);
});

test('a pass is requested again as soon as another coordinator starts one', async () => {
  const takeover = (pass: string) => {
    start(pass);
    syncer.publish(passStarted, { pass: 'its-own', coordinator: 'syncer-2', cause: 'start' });
  };
  using scripted = await coordinator(takeover, finish);
  assert.equal((await followPass(operator, { quietMs: patience() })).pass, scripted.passes[1]);
});

test('a pass without events is waited for while its coordinator is active', async () => {
  using scripted = await coordinator(start, () => assert.fail('requested twice'));
  await syncer.put(lease, COORDINATOR_KEY, { holder: 'syncer-1' });
  await syncer.put(linkStatus, LINK_KEY, { state: 'Syncing', since: 1, coordinator: 'syncer-1' });
  const following = followPass(operator, { quietMs: 60 });
  await sleep(400);
  finish(scripted.passes[0] as string);
  assert.equal((await following).pass, scripted.passes[0]);
  await syncer.remove(lease, COORDINATOR_KEY);
});

test('each request has the options, and a pass that a new configuration ended is requested again', async () => {
  const queries: unknown[] = [];
  const end = syncer.serve(startPass, async (query) => {
    queries.push(query);
    const pass = `pass-of-${queries.length}`;
    const ended = queries.length === 1 ? { ended: 'configuration' as const } : {};
    syncer.publish(passFinished, { ...result(pass), ...ended });
    return { pass };
  });
  const followed = await followPass(operator, { full: true, now: true });
  await end();
  assert.equal(followed.pass, 'pass-of-2');
  assert.deepEqual(queries, [
    { full: true, now: true },
    { full: true, now: true },
  ]);
});

test('after maxRequests passes without an end, the result is unavailable', async () => {
  using scripted = await coordinator(start);
  await assert.rejects(followPass(operator, { quietMs: 60, maxRequests: 3 }), (error) =>
    Fault.is(error, 'unavailable'),
  );
  assert.equal(scripted.passes.length, 3);
});

test('without a coordinator, the result is unavailable after the patience', async () => {
  await assert.rejects(followPass(operator, { patience: 300 }), (error) => Fault.is(error, 'unavailable'));
});

test('an aborted signal ends the wait', async () => {
  using _ = await coordinator(start);
  const end = new AbortController();
  const following = followPass(operator, { signal: end.signal });
  setTimeout(() => end.abort(new Error('ended by the test')), 100);
  await assert.rejects(following, /ended by the test/);
});
