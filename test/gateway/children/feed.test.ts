import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { after, test } from 'node:test';
import { createToken, putScopeMap } from '#proto/accounts/accounts.ts';
import { ARRIVING_PATH } from '#proto/content/arriving.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { CHANGES_PATH, type Changes } from '#proto/sync/changes.ts';
import { TestLayer } from '../layer.ts';

/** What the layers below are told of changes, over HTTP. */

const layer = await TestLayer.start();
after(() => layer[Symbol.asyncDispose]());
const operator = await layer.testBus.connect('operator');

type Ask = { after?: string; wait?: number; login?: string };

async function told({ after, wait, login = '' }: Ask): Promise<Changes> {
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

test('a request that waits is answered when something changes, and at the end of its time', async () => {
  const { cursor } = await told({});
  const waiting = told({ after: cursor, wait: 58 });
  await push('app', 'v1');
  deepEqual(tags(await waiting), ['app:v1']);
  const { cursor: later } = await told({ after: cursor });
  const end = await told({ after: later, wait: 1 });
  deepEqual([end.changes, end.lost, end.cursor], [[], false, later]);
});

test('what changed while nobody could be told is told to whoever asks again', async () => {
  const { cursor } = await told({});
  const waiting = layer.fetch('GET', `${CHANGES_PATH}?after=${cursor}&wait=58`);
  await layer.storageDown();
  await layer.storageUp();
  await push('app', 'restarted');
  // It has heard of it, or is told to come again.
  ok([200, 503].includes((await waiting).status));
  deepEqual(tags(await told({ after: cursor })), ['app:restarted']);
});

for (const [query, why] of [
  ['wait=59', 'longer than proxies wait'],
  ['wait=-1', 'no time'],
  ['wait=x', 'no number'],
] as const) {
  test(`${query} is refused: ${why}`, async () => {
    const response = await layer.fetch('GET', `${CHANGES_PATH}?${query}`);
    equal(response.status, 400);
    ok((await response.text()).includes('write seconds, 58 at most'));
  });
}

test('a cursor that is none is one that is lost', async () => {
  await push('app', 'v2');
  for (const after of ['', 'x', '../..', '1.00.ffffffff', 'a'.repeat(500)]) {
    equal((await told({ after })).lost, true, after);
  }
});

for (const path of [CHANGES_PATH, ARRIVING_PATH]) {
  test(`of the requests that wait at ${path}, one client has eight`, async () => {
    const { cursor } = (await (await layer.fetch('GET', path)).json()) as { cursor: string };
    const end = new AbortController();
    const ask = (wait: number) =>
      fetch(new URL(`${path}?after=${cursor}&wait=${wait}`, layer.url), { signal: end.signal });
    // Whichever comes last is answered first.
    const waiting = Array.from({ length: 9 }, () => ask(50));
    const refused = await Promise.race(waiting);
    equal(refused.status, 429);
    const after = Number(refused.headers.get('retry-after'));
    ok(after >= 5 && after <= 15, `${after}`);
    equal((await ask(0)).status, 200, 'one that does not wait is answered');
    end.abort();
    await Promise.allSettled(waiting);
    // Each gives its place back.
    let further: Response;
    do further = await fetch(new URL(`${path}?after=${cursor}&wait=1`, layer.url));
    while (further.status === 429);
    equal(further.status, 200);
  });
}

test('who has an account hears of what it may see, and begins anew where that has become more', async () => {
  const make = async (name: string, ...actions: string[]) => {
    const { password } = await operator.call(createToken, { name, actions });
    return `${name}:${password}`;
  };
  const all = await make('all', 'repositories/*/content/read', 'repositories/*/content/write');
  const some = await make('some', 'repositories/seen/*/metadata/read', 'repositories/seen/*/content/read');
  const start = await told({ login: some });
  await push('hidden/app', 'v1', all);
  const quiet = await told({ login: some, after: start.cursor, wait: 1 });
  deepEqual(quiet.changes, []);
  notEqual(quiet.cursor, start.cursor);
  const waiting = told({ login: some, after: start.cursor, wait: 58 });
  await push('seen/app', 'v1', all);
  const news = await waiting;
  deepEqual(tags(news), ['seen/app:v1']);

  equal((await told({ login: all, after: news.cursor })).lost, true);
  const actions = ['repositories/seen/*/metadata/read', 'repositories/hidden/*/metadata/read'];
  await operator.call(putScopeMap, { name: 'some', actions });
  equal((await told({ login: some, after: news.cursor })).lost, true);
  equal((await layer.fetch('GET', CHANGES_PATH)).status, 401);
});
