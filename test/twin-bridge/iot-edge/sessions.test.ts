import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { Authority } from '../../support/certificates.ts';
import { Edge } from './rig.ts';

/** The twin after failures of its hub, its daemon or the connection. */

let edge: Edge;
before(async () => {
  edge = await Edge.start();
});
after(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.hub.faults = {};
  edge.hub.twin.unknown = false;
});

for (const [name, forget] of [
  ['kept', false],
  ['lost', true],
] as const) {
  test(`after a restart of edgeHub with its session ${name}, missed changes arrive and the twin works`, async () => {
    const { hub } = edge;
    hub.desire({ at: 'first' });
    await using module = await edge.module();
    await hub.until('the first document', () => module.documents.length > 0);
    await hub.pause();
    hub.desire({ at: 'missed' });
    module.twin.report({ at: name });
    await hub.resume({ forget });
    await hub.until('the missed document', () => (module.document as { at: string }).at === 'missed');
    await hub.until('the report', () => hub.twin.reported.at === name);
    hub.desire({ at: 'after' });
    await hub.until('a patch', () => (module.document as { at: string }).at === 'after');
    assert.equal((await hub.callMethod('nothing', '')).status, 404);
    assert.equal(module.twin.session.connected, true);
  });
}

test('a module that starts before its hub waits, and reports the reason', async () => {
  const { hub } = edge;
  await hub.pause();
  hub.desire({ at: 'early' });
  await using module = await edge.module();
  await hub.until('a reason', () => /ECONNREFUSED/.test(module.twin.session.detail ?? ''));
  await hub.resume();
  await hub.until('the document', () => module.documents.length > 0);
  assert.deepEqual(module.document, { at: 'early' });
});

test('a connection that the hub refuses is retried with backoff', async () => {
  const { hub } = edge;
  hub.faults = { refuse: true };
  await using module = await edge.module();
  const before = hub.refused;
  await hub.until('three attempts', () => hub.refused >= before + 3);
  assert.match(module.twin.session.detail ?? '', /failed to connect to edgeHub /);
  hub.faults = {};
  await hub.until('a session', () => module.twin.session.connected);
});

test('a signature that the daemon refuses is requested again, at the start and later', async () => {
  const { hub } = edge;
  await using module = await edge.module();
  edge.daemon.signs = false;
  await hub.until('no session', () => /workload API/.test(module.twin.session.detail ?? ''));
  edge.daemon.signs = true;
  await hub.until('a session', () => module.twin.session.connected);
  edge.daemon.signs = false;
  hub.cut();
  await hub.until('the loss', () => !module.twin.session.connected);
  hub.desire({ at: 'unsigned' });
  edge.daemon.signs = true;
  await hub.until('the document', () => (module.document as { at?: string })?.at === 'unsigned');
});

test('a request is retried if the daemon closes the connection without an answer', async () => {
  const { hub, daemon } = edge;
  daemon.closes = 3;
  await using module = await edge.module();
  await hub.until('a session', () => module.twin.session.connected);
  assert.equal(daemon.closes, 0);
});

test('a session is replaced, with all its subscriptions, before its signature expires', async () => {
  const { hub } = edge;
  // The expiry of a signature is in whole seconds.
  await using module = await edge.module({ timing: { tokenMs: 3_000, marginMs: 2_500 } });
  const before = hub.sessions.length;
  const signatures = new Set(edge.daemon.signed).size;
  await hub.until('four sessions', () => hub.sessions.length >= before + 4);
  assert.equal(new Set(edge.daemon.signed).size > signatures, true);
  hub.desire({ at: 'renewed' });
  await hub.until('a document', () => (module.document as { at?: string })?.at === 'renewed');
  assert.deepEqual(
    module.lines.filter((line) => line.startsWith('warn')),
    [],
  );
});

test('a session that the hub ends when its signature expires is restored', async () => {
  const { hub } = edge;
  await using module = await edge.module({ timing: { tokenMs: 2_000, marginMs: -60_000 } });
  await hub.until('a session', () => module.twin.session.connected);
  const before = hub.sessions.length;
  await hub.until('another', () => hub.sessions.length > before);
  hub.desire({ at: 'again' });
  await hub.until('a document', () => (module.document as { at?: string })?.at === 'again');
});

test('a lost answer ends the session, and the next session gets it', async () => {
  const { hub } = edge;
  hub.faults = { loseAnswers: ['get'] };
  await using module = await edge.module({ timing: { replyMs: 150 } });
  await hub.until('a reason', () =>
    /did not answer the request for the twin/.test(module.twin.session.detail ?? ''),
  );
  hub.faults = { loseAnswers: ['report'] };
  module.twin.report({ lost: 1 });
  await hub.until('a reason', () => /for reported properties/.test(module.twin.session.detail ?? ''));
  hub.faults = {};
  module.twin.report({ lost: 2 });
  await hub.until('the report', () => hub.twin.reported.lost === 2);
  assert.equal(hub.maxConcurrentPatches, 1);
});

test('a throttled request is retried on the same connection', async () => {
  const { hub } = edge;
  hub.faults = { throttle: { status: 429, times: 3 } };
  const sessions = hub.sessions.length;
  await using module = await edge.module();
  await hub.until('a document', () => module.documents.length > 0);
  hub.faults = { throttle: { status: 429, times: 2 } };
  module.twin.report({ throttled: true });
  await hub.until('the report', () => hub.twin.reported.throttled === true);
  assert.equal(hub.sessions.length, sessions + 1);
});

test('a silent connection is detected and replaced', async () => {
  const { hub } = edge;
  await using module = await edge.module({ timing: { keepaliveMs: 1_000 } });
  await hub.until('a session', () => module.twin.session.connected);
  const before = hub.sessions.length;
  hub.freeze();
  await hub.until('another session', () => hub.sessions.length > before);
});

test('a hub with a certificate of another authority gets no session', async () => {
  const { hub } = edge;
  await using other = await Authority.create();
  const before = hub.sessions.length;
  await using module = await edge.module({ trust: other });
  await hub.until('a reason', () => /certificate/.test(module.twin.session.detail ?? ''));
  assert.equal(hub.sessions.length, before);
});

test('two clients with one module identity disconnect each other, and both back off', async () => {
  const { hub } = edge;
  const timing = { minBackoffMs: 100, maxBackoffMs: 1_000 };
  const before = hub.sessions.length;
  const began = Date.now();
  await using one = await edge.module({ timing });
  await using two = await edge.module({ timing });
  await hub.until('some sessions', () => hub.sessions.length >= before + 6);
  assert.equal(Date.now() - began > 300, true, 'both backed off');
  const warned = [...one.lines, ...two.lines].filter((line) => /no session with edgeHub/.test(line));
  assert.equal(warned.length >= 3, true);
});

test('without a hub, a restart begins with the last document that was in force', async () => {
  const { hub } = edge;
  const folder = await mkdtemp(join(tmpdir(), 'terrace-twin-'));
  try {
    const accepts = (document: object) => !('text' in document && String(document.text).includes('bad'));
    {
      await using module = await edge.module({ folder, accepts });
      hub.desire({ at: 'good' });
      await hub.until('the good one', () => (module.document as { at?: string })?.at === 'good');
      hub.desire({ at: 'bad' });
      await hub.until('the bad one', () => (module.document as { at?: string })?.at === 'bad');
    }
    await hub.pause();
    await using module = await edge.module({ folder, accepts });
    await hub.until('a document', () => module.documents.length > 0);
    assert.deepEqual(module.document, { at: 'good' });
    await hub.resume();
    await hub.until('the desired document', () => (module.document as { at?: string })?.at === 'bad');
  } finally {
    if (hub.port) await hub.restart();
    await rm(folder, { recursive: true, force: true });
  }
});
