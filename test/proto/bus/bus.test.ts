import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Type } from '@sinclair/typebox';
import { Bus, type Log } from '#proto/bus/bus.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { event, request, state, unpack } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { inboxOf, type UserName } from '#proto/contract/users.ts';
import { serviceStatus } from '#proto/status/status.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { patience, until } from '../../support/until.ts';

/** Requests and permissions, on a real nats-server that stays up. */

let server: TestBus;
let gateway: Bus;
let storage: Bus;
before(async () => {
  server = await TestBus.start();
  [gateway, storage] = await Promise.all([server.connect('gateway'), server.connect('storage')]);
});
after(() => server[Symbol.asyncDispose]());

/** Short enough to wait for. */
const SILENCE_MS = patience(100);
const withShortLimits = (
  user: UserName,
  log: Log = quiet,
  limits: { signOfLifeMs?: number; silenceMs?: number } = {},
) =>
  Bus.connect({
    url: server.url,
    user,
    password: `secret-of-${user}`,
    layer: 'test',
    instance: `${user}-short-limits`,
    log,
    limits: { signOfLifeMs: SILENCE_MS / 5, silenceMs: SILENCE_MS, ...limits },
  });

let serial = 0;
const Text = Type.Object({ text: Type.String() });
/** Each test has a subject of its own. */
function newRequest(owner = 'storage') {
  serial += 1;
  return request(`${owner}.blob.ask${serial}`, Text, Text);
}
const fault = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;
const isOfRestart = (error: unknown) => error instanceof Fault && error.detail?.restarted === true;

test('a request is handled once, by one of the processes that serve it', async () => {
  const contract = newRequest();
  await using second = await server.connect('storage', 'storage-second');
  let handled = 0;
  for (const bus of [storage, second]) {
    bus.serve(contract, async ({ text }) => {
      handled += 1;
      return { text: text.toUpperCase() };
    });
    await bus.flush();
  }
  const answers = await Promise.all(['a', 'b', 'c'].map((text) => gateway.call(contract, { text })));
  assert.deepEqual(
    answers.map(({ text }) => text),
    ['A', 'B', 'C'],
  );
  assert.equal(handled, 3);
});

test('a caller waits for a responder that works for long and sends signs of life', async () => {
  const contract = newRequest();
  // Not so short that a machine that is slow reaches it.
  const silenceMs = 10 * SILENCE_MS;
  await using caller = await withShortLimits('gateway', quiet, { silenceMs });
  await using slow = await withShortLimits('storage');
  slow.serve(contract, async () => {
    await sleep(1.5 * silenceMs);
    return { text: 'at last' };
  });
  await slow.flush();
  assert.equal((await caller.call(contract, { text: '' })).text, 'at last');
});

test('a request fails if its responder sends no sign of life', async () => {
  const contract = newRequest();
  await using caller = await withShortLimits('gateway');
  await using silent = await withShortLimits('storage', quiet, { signOfLifeMs: 0x7fff_ffff });
  silent.serve(contract, () => new Promise(() => {}));
  await silent.flush();
  await assert.rejects(caller.call(contract, { text: '' }), fault('unavailable'));
});

test('an answer that arrives after the caller has given up is passed to the handler of late answers', async () => {
  const contract = newRequest();
  await using caller = await withShortLimits('gateway');
  await using slow = await withShortLimits('storage', quiet, { signOfLifeMs: 0x7fff_ffff });
  const answer = Promise.withResolvers<{ text: string }>();
  slow.serve(contract, () => answer.promise);
  await slow.flush();
  const late = Promise.withResolvers<Uint8Array>();
  const calling = caller.call(contract, { text: '' }, { late: ({ data }) => late.resolve(data) });
  await assert.rejects(calling, fault('unavailable'));
  answer.resolve({ text: 'too late' });
  assert.deepEqual(unpack(Text, await late.promise), { text: 'too late' });
});

test('a request with a long silence limit fails soon after storage restarts', async () => {
  const contract = newRequest();
  await using caller = await withShortLimits('syncer');
  await using killed = await withShortLimits('storage', quiet, { signOfLifeMs: 0x7fff_ffff });
  const received = Promise.withResolvers<void>();
  killed.serve(contract, () => {
    received.resolve();
    return new Promise(() => {});
  });
  await killed.flush();
  const waiting = caller.call(contract, { text: '' }, { silenceMs: 600 * SILENCE_MS });
  await received.promise;
  storage.publish(storageStarted, {});
  await assert.rejects(waiting, (error) => fault('unavailable')(error) && isOfRestart(error));
});

test('a request that no process serves is unavailable once its patience ends', async () => {
  let ended = false;
  const calling = gateway.call(newRequest(), { text: '' }, { patience: 0 }).finally(() => {
    ended = true;
  });
  calling.catch(() => {});
  // The server has reported that there is no responder; with patience, the caller would now wait for its retry.
  await gateway.flush();
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(ended);
  await assert.rejects(calling, fault('unavailable'));
});

test('with patience, a request reaches a responder that starts later', async () => {
  const contract = newRequest();
  const calling = gateway.call(contract, { text: 'x' }, { patience: 10_000 });
  await gateway.flush();
  storage.serve(contract, async () => ({ text: 'here now' }));
  assert.equal((await calling).text, 'here now');
});

test('a caller can abort a request by its signal', async () => {
  const contract = newRequest();
  storage.serve(contract, () => new Promise(() => {}));
  await storage.flush();
  const end = new AbortController();
  const calling = gateway.call(contract, { text: '' }, { signal: end.signal });
  end.abort(new Error('enough'));
  await assert.rejects(calling, /enough/);
});

test('a request that is aborted while no process serves it fails with the reason of the abort', async () => {
  const end = new AbortController();
  const calling = gateway.call(newRequest(), { text: '' }, { signal: end.signal, patience: 60_000 });
  // The caller sends it, is notified that there is no responder, and waits for its retry.
  for (let flushes = 0; flushes < 3; flushes += 1) await gateway.flush();
  end.abort(new Error('enough'));
  await assert.rejects(calling, /enough/);
});

test('a fault of the handler is thrown at the caller; any other error becomes internal', async () => {
  const [contract, another] = [newRequest(), newRequest()];
  storage.serve(contract, async () => {
    throw new Fault('blob-unknown', 'not here', { detail: { digest: 'd' } });
  });
  storage.serve(another, async () => {
    throw new Error('secret');
  });
  await storage.flush();
  await assert.rejects(gateway.call(contract, { text: '' }), (error) => {
    assert.ok(Fault.is(error, 'blob-unknown'));
    assert.deepEqual([error.message, error.detail], ['not here', { digest: 'd' }]);
    return true;
  });
  await assert.rejects(gateway.call(another, { text: '' }), (error) => {
    return Fault.is(error, 'internal') && !/secret/.test(error.message);
  });
});

test('a request that violates its schema is malformed; an answer that does is an internal fault', async () => {
  const contract = newRequest();
  storage.serve(contract, async () => ({ text: 'x' }));
  await storage.flush();
  const other = request(contract.subject, Type.Object({ text: Type.Integer() }), Text);
  await assert.rejects(gateway.call(other, { text: 1 }), (error) => {
    return Fault.is(error, 'malformed') && /\/text/.test(error.message);
  });
  const otherAnswer = request(contract.subject, Text, Type.Object({ text: Type.Integer() }));
  await assert.rejects(gateway.call(otherAnswer, { text: '' }), fault('internal'));
  await assert.rejects(gateway.call(contract, { text: 1 } as never), fault('malformed'));
  const invalid = newRequest();
  storage.serve(invalid, async () => ({ text: Number.NaN }) as never);
  await storage.flush();
  await assert.rejects(gateway.call(invalid, { text: 'x' }), fault('internal'));
});

test('an unreadable state entry counts as missing, is logged once, and does not hold up other entries', async () => {
  const unchecked = state('layers', Type.Unknown());
  const checked = state('layers', Type.Object({ n: Type.Integer() }));
  const warnings: unknown[] = [];
  const log = { ...quiet, warn: (fields: object) => void warnings.push(fields) };
  await using reader = await withShortLimits('gateway', log);
  await gateway.put(unchecked, 'good', { n: 1 });
  await gateway.put(unchecked, 'bad', { n: 'x' });
  const numbers = async () => (await reader.list(checked)).get('good');
  assert.deepEqual([await numbers(), await numbers()], [{ n: 1 }, { n: 1 }]);
  assert.equal(await reader.get(checked, 'bad'), undefined);
  const named = reader.unreadable().filter(({ key }) => key === 'bad');
  assert.match(named[0]?.reason ?? '', /^\/n: /);
  assert.equal(warnings.filter((fields) => (fields as { key?: string }).key === 'bad').length, 1);
  // Its owner finds no entry, and writes it.
  assert.ok(await reader.swap(checked, 'bad', { n: 2 }, 0));
  assert.equal((await reader.get(checked, 'bad'))?.value.n, 2);
  assert.deepEqual(
    reader.unreadable().filter(({ key }) => key === 'bad'),
    [],
  );
  for (const key of ['good', 'bad']) await gateway.remove(unchecked, key);
});

test('a state is written, read, listed, watched and removed', async () => {
  const status = (instance: string) => ({
    service: 'gateway',
    instance,
    host: 'h',
    pid: 1,
    started: 1,
    memory: 1,
  });
  const seen: (string | undefined)[] = [];
  const operator = await server.connect('operator');
  operator.watch(serviceStatus, 'a', (value) => seen.push(value?.instance));
  await until(() => seen.length >= 1);
  for (const key of ['a', 'b', 'c', 'd', 'e']) await gateway.put(serviceStatus, key, status(key));
  assert.equal((await operator.get(serviceStatus, 'b'))?.value.instance, 'b');
  assert.deepEqual([...(await operator.list(serviceStatus)).keys()].sort(), ['a', 'b', 'c', 'd', 'e']);
  const { revision } = (await operator.get(serviceStatus, 'a')) ?? { revision: 0 };
  const next = await gateway.swap(serviceStatus, 'a', status('a2'), revision);
  assert.ok(next !== undefined && next > revision);
  // A refused write is not reported to watches either.
  assert.equal(await gateway.swap(serviceStatus, 'a', status('a3'), revision), undefined);
  await until(() => seen.length >= 3);
  assert.equal(await gateway.swap(serviceStatus, 'a', status('a3'), 0), undefined);
  await gateway.remove(serviceStatus, 'a');
  assert.equal(await operator.get(serviceStatus, 'a'), undefined);
  await until(() => seen.length >= 4);
  assert.deepEqual(seen, [undefined, 'a', 'a2', undefined]);
});

// ── permissions ───────────────────────────────────────────────────────────────────────────────────────────────

test('a service writes only its own states', async () => {
  const { configuration } = await import('#proto/document/configuration.ts');
  const value = configurationWith({ name: 'x' });
  for (const user of ['gateway', 'syncer', 'operator'] as const) {
    const bus = await server.connect(user, `${user}-writer`);
    await assert.rejects(bus.put(configuration, 'layer', value), user);
  }
  assert.equal(await gateway.get(configuration, 'layer'), undefined);
  const bridge = await server.connect('twin-bridge');
  await bridge.put(configuration, 'layer', value);
  assert.equal((await gateway.get(configuration, 'layer'))?.value.name, 'x');
});

test('a service sends and serves only the requests that it has permission for', async () => {
  const toSyncer = newRequest('syncer');
  const syncer = await server.connect('syncer');
  syncer.serve(toSyncer, async () => ({ text: 'mine' }));
  const toStorage = newRequest();
  gateway.serve(toStorage, async () => ({ text: 'not mine' }));
  await Promise.all([syncer.flush(), gateway.flush()]);
  await using caller = await withShortLimits('gateway');
  await assert.rejects(caller.call(toSyncer, { text: '' }), fault('denied'));
  await assert.rejects(caller.call(toStorage, { text: '' }, { patience: 0 }), fault('unavailable'));
});

test('a service receives no answers to other users and publishes nothing in their name', async () => {
  const contract = newRequest();
  storage.serve(contract, async () => ({ text: 'secret' }));
  const received: unknown[] = [];
  // `Bus` publishes and subscribes below `events.` only; a raw connection tries the other subjects.
  const { connect } = await import('nats');
  const raw = await connect({ servers: server.url, user: 'gateway', pass: 'secret-of-gateway' });
  const refused: string[] = [];
  void (async () => {
    for await (const status of raw.status()) if (status.type === 'error') refused.push(String(status.data));
  })();
  for (const subject of [`${inboxOf('operator')}.>`, '_INBOX.>', '>', 'storage.>']) {
    raw.subscribe(subject, { callback: (_error, message) => received.push(message.subject) });
  }
  raw.publish('events.blob.committed', new Uint8Array());
  raw.publish('jobs.transfer.fetch', new Uint8Array());
  raw.publish('$JS.API.STREAM.DELETE.EVENTS', new Uint8Array());
  raw.publish('$KV.leases.coordinator', new Uint8Array());
  await raw.flush();
  await gateway.call(contract, { text: '' });
  await until(() => refused.length >= 8);
  await raw.close();
  assert.deepEqual(
    received.filter((subject) => subject !== undefined),
    [],
  );
});

test('all subscribers receive an event, checked and in order', async () => {
  const counted = event('blob.counted', Type.Object({ n: Type.Integer() }));
  const received: number[][] = [[], []];
  gateway.listen(counted, ({ data, type, source }) => {
    assert.deepEqual([type, source], ['terrace.blob.counted', '/layers/test/storage-test']);
    received[0]?.push(data.n);
  });
  const operator = await server.connect('operator', 'operator-listener');
  operator.listen(counted, ({ data }) => received[1]?.push(data.n));
  await Promise.all([gateway.flush(), operator.flush()]);
  storage.publish(event('blob.counted', Type.Object({ n: Type.String() })), { n: 'not as declared' });
  for (let n = 0; n < 20; n += 1) storage.publish(counted, { n });
  await until(() => received.every((list) => list.length >= 20));
  for (const list of received) assert.deepEqual(list, [...Array(20).keys()]);
});
