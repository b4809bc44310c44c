import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Edge } from './rig.ts';

/** Desired and reported properties over one connection to edgeHub. */

let edge: Edge;
before(async () => {
  edge = await Edge.start();
});
after(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.hub.faults = {};
  edge.hub.twin.unknown = false;
});

test('an empty twin without a version leaves the document in force', async () => {
  const { hub } = edge;
  hub.desire({ mode: 'ReadWrite' });
  await using module = await edge.module({ timing: { resyncMs: 50 } });
  await hub.until('the document', () => module.documents.length === 1);
  hub.twin.unknown = true;
  const gets = hub.gets;
  await hub.until('three more reads', () => hub.gets >= gets + 3);
  assert.equal(module.documents.length, 1);
  assert.equal(module.lines.filter((line) => /returned no desired properties/.test(line)).length, 1);
  hub.twin.unknown = false;
  hub.desire({});
  await hub.until('the empty document', () => module.documents.length === 2);
  assert.deepEqual(module.document, {});
});

test('a thousand patches cause few reads, and the last one applies', async () => {
  const { hub } = edge;
  await using module = await edge.module();
  await hub.until('a document', () => module.documents.length > 0);
  const gets = hub.gets;
  for (let count = 1; count <= 1_000; count += 1) hub.desire({ count, list: [count] });
  await hub.until('the last', () => (module.document as { count: number }).count === 1_000);
  assert.equal(hub.gets - gets < 50, true, `${hub.gets - gets} reads`);
});

test('a lost patch is found by the next poll', async () => {
  const { hub } = edge;
  await using module = await edge.module({ timing: { resyncMs: 200 } });
  await hub.until('a document', () => module.documents.length > 0);
  hub.faults = { losePatches: true };
  hub.desire({ lost: true });
  await hub.until('the lost patch', () => (module.document as { lost?: boolean }).lost === true);
});

test('lists are replaced, absent fields are removed, and null counts as absent', async () => {
  const { hub } = edge;
  hub.desire({ repositories: ['a', 'b', 'c'], window: null, parent: { url: 'u', caFile: null } });
  await using module = await edge.module();
  await hub.until('a document', () => module.documents.length > 0);
  assert.deepEqual(module.document, { repositories: ['a', 'b', 'c'], parent: { url: 'u' } });
  hub.desire({ repositories: ['z'] });
  await hub.until('the other document', () => module.documents.length === 2);
  assert.deepEqual(module.document, { repositories: ['z'] });
});

test('an equal document of another version is passed on again, and a lower version is accepted', async () => {
  const { hub } = edge;
  const version = hub.desire({ same: 1 }, 40);
  await using module = await edge.module();
  await hub.until('a document', () => module.documents.length === 1);
  assert.equal(module.documents[0]?.version, version);
  hub.desire({ same: 1 }, 41);
  await hub.until('its version', () => module.documents.at(-1)?.version === 41);
  hub.desire({ again: 1 }, 2);
  await hub.until('the lower version', () => module.documents.at(-1)?.version === 2);
  assert.deepEqual(module.document, { again: 1 });
  assert.equal(
    module.lines.some((line) => /have a lower version/.test(line)),
    true,
  );
});

test('reports during an outage are sent in order, one at a time, and end with the last one', async () => {
  const { hub } = edge;
  await using module = await edge.module();
  for (let outage = 0; outage < 3; outage += 1) {
    await hub.until('a session', () => module.twin.session.connected);
    await hub.pause();
    const from = hub.reports.length;
    for (let count = 0; count < 20; count += 1)
      module.twin.report({ outage, count, list: [count], more: { count } });
    await hub.resume();
    await hub.until('the last', () => hub.twin.reported.count === 19 && hub.twin.reported.outage === outage);
    const counts = hub.reports.slice(from).map((patch) => (patch as { count?: number }).count ?? 19);
    assert.deepEqual(
      counts,
      [...counts].sort((a, b) => a - b),
    );
    assert.deepEqual(hub.twin.reported, { outage, count: 19, list: [19], more: { count: 19 } });
  }
  assert.equal(hub.maxConcurrentPatches, 1);
});

test('a report sends only differences, and deletes fields that are no longer reported', async () => {
  const { hub } = edge;
  await using module = await edge.module();
  module.twin.report({ keep: 'a', drop: { x: 1 }, deep: { one: 1, two: 2 } });
  await hub.until('the first', () => hub.twin.reported.keep === 'a');
  const from = hub.reports.length;
  module.twin.report({ keep: 'a', deep: { one: 1, two: 3 } });
  await hub.until('the second', () => (hub.twin.reported.deep as { two: number }).two === 3);
  assert.deepEqual(hub.reports.slice(from), [{ drop: null, deep: { two: 3 } }]);
  module.twin.report({ keep: 'a', deep: { one: 1, two: 3 } });
  hub.desire({ read: 1 });
  await hub.until('another read', () => (module.document as { read?: number }).read === 1);
  assert.equal(hub.reports.length, from + 1, 'an equal report is not sent again');
});

test('fields that are not valid in a twin are omitted and logged; a refused report is not sent again', async () => {
  const { hub } = edge;
  await using module = await edge.module();
  module.twin.report({ fine: 1, 'a.b': 2, long: 'x'.repeat(5_000) });
  await hub.until('the valid fields', () => hub.twin.reported.fine === 1);
  assert.equal('long' in hub.twin.reported, false);
  assert.equal(
    module.lines.some(
      (line) => /not valid in a twin/.test(line) && line.includes('a.b') && line.includes('long'),
    ),
    true,
  );
  hub.twin.report = () => 400;
  const from = hub.reports.length;
  module.twin.report({ fine: 2 });
  await hub.until('the refusal', () =>
    module.lines.some((line) => /refused the reported properties/.test(line)),
  );
  hub.desire({ read: 2 });
  await hub.until('another read', () => (module.document as { read?: number }).read === 2);
  assert.equal(hub.reports.length, from + 1, 'the refused report is not sent again');
  delete (hub.twin as { report?: unknown }).report;
  module.twin.report({ fine: 3 });
  await hub.until('another', () => hub.twin.reported.fine === 3);
});

test('direct methods are always answered', async () => {
  const { hub } = edge;
  await using module = await edge.module({
    timing: { methodMs: 200 },
    methods: {
      echo: async (payload) => ({ status: 200, payload }),
      fails: async () => {
        throw new Error('at secret.ts:1');
      },
      never: () => new Promise(() => {}),
      long: async () => ({ status: 200, payload: 'x'.repeat(200_000) }),
      odd: async () => ({ status: 0, payload: undefined }),
    },
  });
  await hub.until('a session', () => module.twin.session.connected);
  const cases: [string, string, number, unknown][] = [
    ['echo', '{"a":[1]}', 200, { a: [1] }],
    ['echo', '', 200, null],
    [
      'echo',
      '{"a"',
      400,
      { code: 'malformed', message: 'the payload is not JSON: write an object, or nothing' },
    ],
    [
      'reboot',
      '',
      404,
      {
        code: 'name-unknown',
        message: 'unknown method reboot: the methods are echo, fails, never, long, odd',
      },
    ],
    ['fails', '', 500, { code: 'internal', message: 'fails failed: see the log of the twin-bridge' }],
    ['never', '', 504, { code: 'unavailable', message: 'never did not finish within 0.2 s: retry' }],
    ['odd', '', 500, null],
  ];
  for (const [name, payload, status, answer] of cases) {
    assert.deepEqual(await hub.callMethod(name, payload), { status, payload: answer }, `${name} ${payload}`);
  }
  const long = await hub.callMethod('long', '');
  assert.equal(long.status, 500);
  assert.match(JSON.stringify(long.payload), /"code":"too-large".*limit of 131072 bytes/);
  const many = await Promise.all(Array.from({ length: 40 }, () => hub.callMethod('never', '')));
  const kinds = many.map(({ status, payload }) => `${status} ${(payload as { code: string }).code}`);
  assert.deepEqual([...new Set(kinds)].sort(), ['429 too-many', '504 unavailable']);
});

test('a direct method is available only while a session exists', async () => {
  const { hub } = edge;
  await using module = await edge.module({
    methods: { ping: async () => ({ status: 200, payload: 'pong' }) },
  });
  await hub.until('a session', () => module.twin.session.connected);
  hub.faults = { refuse: true };
  hub.cut();
  await hub.until('the loss', () => !module.twin.session.connected && !hub.isConnected);
  assert.equal((await hub.callMethod('ping', '')).status, 404);
  hub.faults = {};
  await hub.until('a session', () => module.twin.session.connected);
  assert.deepEqual(await hub.callMethod('ping', ''), { status: 200, payload: 'pong' });
});
