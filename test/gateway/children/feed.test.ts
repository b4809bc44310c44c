import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { after, test } from 'node:test';
import { createToken, putScopeMap } from '#proto/accounts/accounts.ts';
import { ARRIVING_PATH } from '#proto/content/arriving.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { CHANGES_PATH, type Changes } from '#proto/sync/changes.ts';
import { GatewayRig } from '../gateway-rig.ts';

/** The change feed for the layers below, over HTTP. */

const layer = await GatewayRig.start({}, { apart: true });
after(() => layer[Symbol.asyncDispose]());
const operator = await layer.testBus.connect('operator');

type Query = { after?: string; wait?: number; login?: string };

async function changesAfter({ after, wait, login = '' }: Query): Promise<Changes> {
  const query = new URLSearchParams({
    ...(after !== undefined && { after }),
    ...(wait && { wait: `${wait}` }),
  });
  const headers = login ? { authorization: `Basic ${Buffer.from(login).toString('base64')}` } : {};
  const response = await layer.fetch('GET', `${CHANGES_PATH}?${query}`, { headers });
  equal(response.status, 200);
  return (await response.json()) as Changes;
}

async function push(repository: string, tag: string, login = ''): Promise<void> {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [], tag });
  const headers = {
    'content-type': mediaTypes.ociIndex,
    ...(login && { authorization: `Basic ${Buffer.from(login).toString('base64')}` }),
  };
  const { status } = await layer.fetch('PUT', `/v2/${repository}/manifests/${tag}`, { headers, body });
  equal(status, 201);
}

const tags = ({ changes }: Changes) =>
  changes.map((one) => ('tag' in one ? `${one.repository}:${one.tag}` : ''));

test('a long poll is answered at the next change, and when its wait is over', async () => {
  const { cursor } = await changesAfter({});
  const waiting = changesAfter({ after: cursor, wait: 58 });
  await push('app', 'v1');
  deepEqual(tags(await waiting), ['app:v1']);
  const { cursor: later } = await changesAfter({ after: cursor });
  const end = await changesAfter({ after: later, wait: 1 });
  deepEqual([end.changes, end.lost, end.cursor], [[], false, later]);
});

test('a change during an outage of storage is reported to the next request', async () => {
  const { cursor } = await changesAfter({});
  const waiting = layer.fetch('GET', `${CHANGES_PATH}?after=${cursor}&wait=58`);
  await layer.storageDown();
  await layer.storageUp();
  await push('app', 'restarted');
  // It is answered with the change, or must be repeated.
  ok([200, 503].includes((await waiting).status));
  deepEqual(tags(await changesAfter({ after: cursor })), ['app:restarted']);
});

for (const [query, why] of [
  ['wait=59', 'longer than proxies wait'],
  ['wait=-1', 'a negative time'],
  ['wait=x', 'not a number'],
] as const) {
  test(`${query} is refused: ${why}`, async () => {
    const response = await layer.fetch('GET', `${CHANGES_PATH}?${query}`);
    equal(response.status, 400);
    ok((await response.text()).includes('write seconds, 58 at most'));
  });
}

test('an invalid cursor is answered as a lost one', async () => {
  await push('app', 'v2');
  for (const after of ['', 'x', '../..', '1.00.ffffffff', 'a'.repeat(500)]) {
    equal((await changesAfter({ after })).lost, true, after);
  }
});

for (const path of [CHANGES_PATH, ARRIVING_PATH]) {
  test(`one client may have eight waiting requests at ${path}`, async () => {
    const { cursor } = (await (await layer.fetch('GET', path)).json()) as { cursor: string };
    const end = new AbortController();
    const poll = (wait: number) =>
      fetch(new URL(`${path}?after=${cursor}&wait=${wait}`, layer.url), { signal: end.signal });
    // The last one to arrive is answered first.
    const waiting = Array.from({ length: 9 }, () => poll(50));
    const refused = await Promise.race(waiting);
    equal(refused.status, 429);
    const after = Number(refused.headers.get('retry-after'));
    ok(after >= 5 && after <= 15, `${after}`);
    equal((await poll(0)).status, 200, 'a request that does not wait is answered');
    end.abort();
    await Promise.allSettled(waiting);
    // Each releases its slot.
    let next: Response;
    do next = await fetch(new URL(`${path}?after=${cursor}&wait=1`, layer.url));
    while (next.status === 429);
    equal(next.status, 200);
  });
}

test('an account gets the changes that it may see, and its cursor is lost when its rights change', async () => {
  const createLogin = async (name: string, ...actions: string[]) => {
    const { password } = await operator.call(createToken, { name, actions });
    return `${name}:${password}`;
  };
  const all = await createLogin('all', 'repositories/*/content/read', 'repositories/*/content/write');
  const some = await createLogin(
    'some',
    'repositories/seen/*/metadata/read',
    'repositories/seen/*/content/read',
  );
  const start = await changesAfter({ login: some });
  await push('hidden/app', 'v1', all);
  const quiet = await changesAfter({ login: some, after: start.cursor, wait: 1 });
  deepEqual(quiet.changes, []);
  notEqual(quiet.cursor, start.cursor);
  const waiting = changesAfter({ login: some, after: start.cursor, wait: 58 });
  await push('seen/app', 'v1', all);
  const received = await waiting;
  deepEqual(tags(received), ['seen/app:v1']);

  equal((await changesAfter({ login: all, after: received.cursor })).lost, true);
  const actions = ['repositories/seen/*/metadata/read', 'repositories/hidden/*/metadata/read'];
  await operator.call(putScopeMap, { name: 'some', actions });
  equal((await changesAfter({ login: some, after: received.cursor })).lost, true);
  equal((await layer.fetch('GET', CHANGES_PATH)).status, 401);
});
