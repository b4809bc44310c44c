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

/** A silence short enough to wait for. */
const SILENCE_MS = patience(100);
const hasty = (user: UserName, log: Log = quiet, limits: { signOfLifeMs?: number } = {}) =>
  Bus.connect({
    url: server.url,
    user,
    password: `secret-of-${user}`,
    layer: 'test',
    instance: `${user}-hasty`,
    log,
    limits: { signOfLifeMs: SILENCE_MS / 5, silenceMs: SILENCE_MS, ...limits },
  });

let serial = 0;
const Text = Type.Object({ text: Type.String() });
/** Each test has a subject of its own. */
function question(owner = 'storage') {
  serial += 1;
  return request(`${owner}.blob.ask${serial}`, Text, Text);
}
const fault = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;

test('one question, one answer, by one of those who serve it', async () => {
  const ask = question();
  await using second = await server.connect('storage', 'storage-second');
  let asked = 0;
  for (const bus of [storage, second]) {
    bus.serve(ask, async ({ text }) => {
      asked += 1;
      return { text: text.toUpperCase() };
    });
    await bus.flush();
  }
  const answers = await Promise.all(['a', 'b', 'c'].map((text) => gateway.call(ask, { text })));
  assert.deepEqual(
    answers.map(({ text }) => text),
    ['A', 'B', 'C'],
  );
  assert.equal(asked, 3);
});

test('who works for long shows signs of life, and is waited for', async () => {
  const ask = question();
  await using caller = await hasty('gateway');
  await using slow = await hasty('storage');
  slow.serve(ask, async () => {
    await sleep(3 * SILENCE_MS);
    return { text: 'at last' };
  });
  await slow.flush();
  assert.equal((await caller.call(ask, { text: '' })).text, 'at last');
});

test('who shows no sign of life is given up', async () => {
  const ask = question();
  await using caller = await hasty('gateway');
  await using silent = await hasty('storage', quiet, { signOfLifeMs: 0x7fff_ffff });
  silent.serve(ask, () => new Promise(() => {}));
  await silent.flush();
  await assert.rejects(caller.call(ask, { text: '' }), fault('unavailable'));
});

test('an answer that comes when the caller has given up is told to whoever wants it', async () => {
  const ask = question();
  await using caller = await hasty('gateway');
  await using slow = await hasty('storage', quiet, { signOfLifeMs: 0x7fff_ffff });
  const given = Promise.withResolvers<{ text: string }>();
  slow.serve(ask, () => given.promise);
  await slow.flush();
  const late = Promise.withResolvers<Uint8Array>();
  const calling = caller.call(ask, { text: '' }, { late: ({ data }) => late.resolve(data) });
  await assert.rejects(calling, fault('unavailable'));
  given.resolve({ text: 'too late' });
  assert.deepEqual(unpack(Text, await late.promise), { text: 'too late' });
});

test('who waits long for a job is given up soon where storage was started again meanwhile', async () => {
  const ask = question();
  await using caller = await hasty('syncer');
  await using killed = await hasty('storage', quiet, { signOfLifeMs: 0x7fff_ffff });
  const asked = Promise.withResolvers<void>();
  killed.serve(ask, () => {
    asked.resolve();
    return new Promise(() => {});
  });
  await killed.flush();
  const waiting = caller.call(ask, { text: '' }, { silenceMs: 600 * SILENCE_MS });
  await asked.promise;
  storage.publish(storageStarted, {});
  await assert.rejects(waiting, fault('unavailable'));
});

test('a question that nobody serves is unavailable when the patience is over', async () => {
  let over = false;
  const calling = gateway.call(question(), { text: '' }, { patience: 0 }).finally(() => {
    over = true;
  });
  calling.catch(() => {});
  // That nobody is there is heard before this, and with patience it would rest now.
  await gateway.flush();
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(over);
  await assert.rejects(calling, fault('unavailable'));
});

test('patience finds who serves only later', async () => {
  const ask = question();
  const calling = gateway.call(ask, { text: 'x' }, { patience: 10_000 });
  await gateway.flush();
  storage.serve(ask, async () => ({ text: 'here now' }));
  assert.equal((await calling).text, 'here now');
});

test('a caller can give up by its signal', async () => {
  const ask = question();
  storage.serve(ask, () => new Promise(() => {}));
  await storage.flush();
  const end = new AbortController();
  const calling = gateway.call(ask, { text: '' }, { signal: end.signal });
  end.abort(new Error('enough'));
  await assert.rejects(calling, /enough/);
});

test('a caller who gives up while nobody serves hears its own reason', async () => {
  const end = new AbortController();
  const calling = gateway.call(question(), { text: '' }, { signal: end.signal, patience: 60_000 });
  // It asks, hears that nobody is there, and waits before it asks again.
  for (let asked = 0; asked < 3; asked += 1) await gateway.flush();
  end.abort(new Error('enough'));
  await assert.rejects(calling, /enough/);
});

test('a fault of the handler is the fault of the caller; any other error is internal', async () => {
  const [ask, askToo] = [question(), question()];
  storage.serve(ask, async () => {
    throw new Fault('blob-unknown', 'not here', { detail: { digest: 'd' } });
  });
  storage.serve(askToo, async () => {
    throw new Error('secret');
  });
  await storage.flush();
  await assert.rejects(gateway.call(ask, { text: '' }), (error) => {
    assert.ok(Fault.is(error, 'blob-unknown'));
    assert.deepEqual([error.message, error.detail], ['not here', { digest: 'd' }]);
    return true;
  });
  await assert.rejects(gateway.call(askToo, { text: '' }), (error) => {
    return Fault.is(error, 'internal') && !/secret/.test(error.message);
  });
});

test('a question that is not as declared is malformed, an answer is the fault of who gives it', async () => {
  const ask = question();
  storage.serve(ask, async () => ({ text: 'x' }));
  await storage.flush();
  const other = request(ask.subject, Type.Object({ text: Type.Integer() }), Text);
  await assert.rejects(gateway.call(other, { text: 1 }), (error) => {
    return Fault.is(error, 'malformed') && /\/text/.test(error.message);
  });
  const otherAnswer = request(ask.subject, Text, Type.Object({ text: Type.Integer() }));
  await assert.rejects(gateway.call(otherAnswer, { text: '' }), fault('internal'));
  await assert.rejects(gateway.call(ask, { text: 1 } as never), fault('malformed'));
  const mistaken = question();
  storage.serve(mistaken, async () => ({ text: Number.NaN }) as never);
  await storage.flush();
  await assert.rejects(gateway.call(mistaken, { text: 'x' }), fault('internal'));
});

test('an entry of a state that can not be read counts as none, is told once, and keeps no other back', async () => {
  const loose = state('layers', Type.Unknown());
  const strange = state('layers', Type.Object({ n: Type.Integer() }));
  const told: unknown[] = [];
  const log = { ...quiet, warn: (fields: object) => void told.push(fields) };
  await using reader = await hasty('gateway', log);
  await gateway.put(loose, 'good', { n: 1 });
  await gateway.put(loose, 'bad', { n: 'x' });
  const numbers = async () => (await reader.list(strange)).get('good');
  assert.deepEqual([await numbers(), await numbers()], [{ n: 1 }, { n: 1 }]);
  assert.equal(await reader.get(strange, 'bad'), undefined);
  const named = reader.unreadable().filter(({ key }) => key === 'bad');
  assert.match(named[0]?.reason ?? '', /^\/n: /);
  assert.equal(told.filter((fields) => (fields as { key?: string }).key === 'bad').length, 1);
  // Whoever owns it finds none, and writes it.
  assert.ok(await reader.swap(strange, 'bad', { n: 2 }, 0));
  assert.equal((await reader.get(strange, 'bad'))?.value.n, 2);
  assert.deepEqual(
    reader.unreadable().filter(({ key }) => key === 'bad'),
    [],
  );
  for (const key of ['good', 'bad']) await gateway.remove(loose, key);
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
  // A write that was refused was never there, to those who watch either.
  assert.equal(await gateway.swap(serviceStatus, 'a', status('a3'), revision), undefined);
  await until(() => seen.length >= 3);
  assert.equal(await gateway.swap(serviceStatus, 'a', status('a3'), 0), undefined);
  await gateway.remove(serviceStatus, 'a');
  assert.equal(await operator.get(serviceStatus, 'a'), undefined);
  await until(() => seen.length >= 4);
  assert.deepEqual(seen, [undefined, 'a', 'a2', undefined]);
});

// ── permissions ───────────────────────────────────────────────────────────────────────────────────────────────

test('a service writes only the states that are its own', async () => {
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

test('a service asks and answers only what is its own', async () => {
  const ofSyncer = question('syncer');
  const syncer = await server.connect('syncer');
  syncer.serve(ofSyncer, async () => ({ text: 'mine' }));
  const ofStorage = question();
  gateway.serve(ofStorage, async () => ({ text: 'not mine' }));
  await Promise.all([syncer.flush(), gateway.flush()]);
  await using caller = await hasty('gateway');
  await assert.rejects(caller.call(ofSyncer, { text: '' }), fault('denied'));
  await assert.rejects(caller.call(ofStorage, { text: '' }, { patience: 0 }), fault('unavailable'));
});

test('a service hears no answers to others, and says nothing in their names', async () => {
  const ask = question();
  storage.serve(ask, async () => ({ text: 'secret' }));
  const heard: unknown[] = [];
  // The events of a bus are subjects below `events.`; a raw connection tries the rest.
  const { connect } = await import('nats');
  const raw = await connect({ servers: server.url, user: 'gateway', pass: 'secret-of-gateway' });
  const refused: string[] = [];
  void (async () => {
    for await (const status of raw.status()) if (status.type === 'error') refused.push(String(status.data));
  })();
  for (const subject of [`${inboxOf('operator')}.>`, '_INBOX.>', '>', 'storage.>']) {
    raw.subscribe(subject, { callback: (_error, message) => heard.push(message.subject) });
  }
  raw.publish('events.blob.committed', new Uint8Array());
  raw.publish('jobs.transfer.fetch', new Uint8Array());
  raw.publish('$JS.API.STREAM.DELETE.EVENTS', new Uint8Array());
  raw.publish('$KV.leases.coordinator', new Uint8Array());
  await raw.flush();
  await gateway.call(ask, { text: '' });
  await until(() => refused.length >= 8);
  await raw.close();
  assert.deepEqual(
    heard.filter((subject) => subject !== undefined),
    [],
  );
});

test('an event is heard by all who listen, checked, in order', async () => {
  const counted = event('blob.counted', Type.Object({ n: Type.Integer() }));
  const heard: number[][] = [[], []];
  gateway.listen(counted, ({ data, type, source }) => {
    assert.deepEqual([type, source], ['terrace.blob.counted', '/layers/test/storage-test']);
    heard[0]?.push(data.n);
  });
  const operator = await server.connect('operator', 'operator-listener');
  operator.listen(counted, ({ data }) => heard[1]?.push(data.n));
  await Promise.all([gateway.flush(), operator.flush()]);
  storage.publish(event('blob.counted', Type.Object({ n: Type.String() })), { n: 'not as declared' });
  for (let n = 0; n < 20; n += 1) storage.publish(counted, { n });
  await until(() => heard.every((list) => list.length >= 20));
  for (const list of heard) assert.deepEqual(list, [...Array(20).keys()]);
});
