import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { childPath } from '#proto/accounts/children.ts';
import { ARRIVING_PATH, type Arriving } from '#proto/content/arriving.ts';
import { claimTransfer } from '#proto/content/ingests.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { reportPath } from '#proto/status/layers-below.ts';
import { CHANGES_PATH, type Changes } from '#proto/sync/changes.ts';
import { DELTAS_PATH } from '#proto/sync/delta-exchange.ts';
import { until } from '../../support/until.ts';
import { ALL, basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';

/** Rights are checked again when an answer is sent, not only when its request arrives. */

const layer = await GatewayRig.start({ recheckMs: 0 });
after(() => layer[Symbol.asyncDispose]());
const tokens = await Tokens.of(layer);
const syncer = await layer.testBus.connect('syncer');
const writer = basic('writer', await tokens.create('writer', on('*', ...ALL)));
const READ = ['content/read', 'metadata/read'] as const;
type Login = Record<string, string>;

async function push(repository: string, tag: string): Promise<void> {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [], tag });
  const headers = { ...writer, 'content-type': mediaTypes.ociIndex };
  equal((await layer.fetch('PUT', `/v2/${repository}/manifests/${tag}`, { headers, body })).status, 201);
}

/** Starts a transfer to the repository that has received no bytes. @returns its digest */
async function startTransfer(repository: string): Promise<string> {
  const digest = sha256(`${repository} ${Math.random()}`);
  await syncer.call(claimTransfer, { repository, digest, size: 9, by: 'a', part: { tags: ['v1'] } });
  return digest;
}

async function getJson<T>(path: string, headers: Login): Promise<T> {
  const response = await layer.fetch('GET', path, { headers });
  equal(response.status, 200, path);
  return (await response.json()) as T;
}

/** Sends a request on a connection of its own, and resolves once the gateway has received it. */
async function startRequest(path: string, headers: Login) {
  const sent = request(new URL(path, layer.url), { headers, agent: false }).end();
  const answer = once(sent, 'response').then(async ([response]: IncomingMessage[]) => {
    const { statusCode: status } = response as IncomingMessage;
    return { status, body: await text(response as IncomingMessage) };
  });
  await once(layer.app.server, 'request');
  return { answer };
}

/** Whether an upload has received bytes. */
async function hasBytes(): Promise<boolean> {
  const folder = join(layer.data, 'ingest');
  const sizes = (await readdir(folder)).map((name) =>
    stat(join(folder, name, 'data')).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).some((size) => size > 0);
}

for (const [what, path, scope] of [
  ['the change feed', CHANGES_PATH, 'registry:catalog:*'],
  ['the list of arriving content', ARRIVING_PATH, 'registry:catalog:*'],
] as const) {
  test(`${what}: a long poll is answered 401 when its token is disabled`, async () => {
    const headers = basic('child', await tokens.create('child', on('*', ...READ)));
    for (const login of [headers, bearer(await tokenFor(layer, headers, scope))]) {
      await tokens.enable('child', true);
      const { cursor } = await getJson<Changes | Arriving>(path, login);
      const { answer } = await startRequest(`${path}?after=${cursor}&wait=58`, login);
      await tokens.enable('child', false);
      await push('secret', `v${Math.random()}`);
      await startTransfer('secret');
      equal((await answer).status, 401);
    }
    await tokens.delete('child');
  });
}

test('the change feed lists only changes that the token may see when it is answered', async () => {
  const headers = basic('narrowed', await tokens.create('narrowed', on('*', ...READ)));
  const { cursor } = await getJson<Changes>(CHANGES_PATH, headers);
  const { answer } = await startRequest(`${CHANGES_PATH}?after=${cursor}&wait=58`, headers);
  await tokens.scope('narrowed', on('open', ...READ));
  await push('closed', 'v1');
  await push('open', 'v1');
  const { changes } = JSON.parse((await answer).body) as Changes;
  deepEqual([...new Set(changes.map(({ repository }) => repository))], ['open']);
});

test('arriving content is not sent to a token that was disabled during the wait', async () => {
  const headers = basic('puller', await tokens.create('puller', on('*', ...READ)));
  const digest = await startTransfer('app');
  const path = `${ARRIVING_PATH}/${digest}?repository=app&wait=1`;
  const { answer } = await startRequest(path, headers);
  await tokens.enable('puller', false);
  equal((await answer).status, 401);
});

test('arriving content is not sent to a token that lost its right during the wait', async () => {
  const headers = basic('narrow', await tokens.create('narrow', on('*', ...READ)));
  const digest = await startTransfer('app');
  const { answer } = await startRequest(`${ARRIVING_PATH}/${digest}?repository=app&wait=1`, headers);
  await tokens.scope('narrow', on('other', ...READ));
  equal((await answer).status, 404);
});

test('an upload is not committed if its token is disabled while the body is received', async () => {
  const headers = basic('pusher', await tokens.create('pusher', on('app', ...ALL)));
  for (const kind of ['monolithic', 'finished'] as const) {
    await tokens.enable('pusher', true);
    const digest = sha256(`first second ${kind}`);
    const started = await layer.fetch('POST', '/v2/app/blobs/uploads/', { headers });
    const location = started.headers.get('location') as string;
    const [method, path] =
      kind === 'finished'
        ? ['PUT', `${location}?digest=${digest}`]
        : ['POST', `/v2/app/blobs/uploads/?digest=${digest}`];
    const pushing = request(new URL(path as string, layer.url), { method: method as string, headers });
    pushing.write('first ');
    await until(hasBytes);
    await tokens.enable('pusher', false);
    pushing.end(`second ${kind}`);
    const [response] = (await once(pushing, 'response')) as [IncomingMessage];
    response.resume();
    equal(response.statusCode, 401, kind);
    equal((await layer.fetch('HEAD', `/v2/app/blobs/${digest}`, { headers: writer })).status, 404);
  }
});

test('a download is aborted when its token is disabled', async () => {
  const headers = basic('reader', await tokens.create('reader', on('app', ...READ)));
  const size = 64 * 1024 * 1024;
  const body = Buffer.alloc(size, 'x');
  const path = `/v2/app/blobs/uploads/?digest=${sha256(body)}`;
  equal((await layer.fetch('POST', path, { headers: writer, body })).status, 201);
  const pulling = request(new URL(`/v2/app/blobs/${sha256(body)}`, layer.url), { headers }).end();
  const [response] = (await once(pulling, 'response')) as [IncomingMessage];
  let received = 0;
  await once(response, 'readable');
  await tokens.enable('reader', false);
  response.on('data', (chunk: Buffer) => {
    received += chunk.byteLength;
  });
  await new Promise((resolve) => response.once('close', resolve).once('error', () => {}));
  ok(!response.complete && received < size, `received ${received} bytes`);
});

test('a Bearer token without scopes is refused by every Terrace route', async () => {
  const all = [...on('*', ...ALL), 'gateway/line/config/write', 'gateway/line/message/write'];
  const login = basic('line', await tokens.create('line', all));
  const unscoped = bearer(await tokenFor(layer, login));
  const digest = await startTransfer('app');
  const instance = '00000000-0000-4000-8000-000000000000';
  const report = JSON.stringify({ made: 'm', events: [], instance });
  const about = { repository: 'app', wait: 0 };
  const wanted = [{ digest, size: 300_000 }];
  const question = JSON.stringify({ ...about, formats: [DELTA_FORMAT], wanted, layers: [], held: [] });
  const facts = { to: digest, toSize: 300_000, from: [digest], format: DELTA_FORMAT, kind: 'raw', cpuMs: 0 };
  const push = JSON.stringify({ ...about, delta: { ...facts, digest: sha256('delta'), size: 1 } });
  const arriving = `${ARRIVING_PATH}/${digest}?repository=app&wait=0`;
  const routes: [
    route: string,
    method: string,
    path: string,
    scope: string,
    statuses: number[],
    body?: string,
  ][] = [
    [CHANGES_PATH, 'GET', CHANGES_PATH, 'registry:catalog:*', [401, 200]],
    [ARRIVING_PATH, 'GET', ARRIVING_PATH, 'registry:catalog:*', [401, 200]],
    // The same answer as for a blob without a transfer.
    [`${ARRIVING_PATH}/:digest`, 'GET', arriving, 'repository:app:pull', [404, 204]],
    [
      childPath(':child'),
      'PUT',
      childPath('line'),
      'gateway:line:config_write',
      [401, 201],
      JSON.stringify({ instance }),
    ],
    [reportPath(':child'), 'POST', reportPath('line'), 'gateway:line:message_write', [401, 200], report],
    // As if the repository had none of these blobs.
    [DELTAS_PATH, 'POST', DELTAS_PATH, 'repository:app:pull', [200, 200], question],
    [
      `${DELTAS_PATH}/bases`,
      'POST',
      `${DELTAS_PATH}/bases`,
      'repository:app:pull,push',
      [200, 200],
      question,
    ],
    [`${DELTAS_PATH}/apply`, 'POST', `${DELTAS_PATH}/apply`, 'repository:app:pull,push', [403, 404], push],
    [
      `${DELTAS_PATH}/:digest`,
      'GET',
      `${DELTAS_PATH}/${digest}?repository=app`,
      'repository:app:pull',
      [404, 404],
    ],
  ];
  const known = layer.routes.filter((route) => route.startsWith('/v2/_terrace'));
  deepEqual([...new Set(known)].sort(), routes.map(([route]) => route).sort(), 'the table has every route');
  for (const [, method, path, scope, [without, granted], body] of routes) {
    const sent = body === undefined ? {} : { body };
    const refused = await layer.fetch(method, path, { headers: unscoped, ...sent });
    equal(refused.status, without, `${method} ${path}`);
    if (without === 401) ok(refused.headers.get('www-authenticate')?.includes(`scope="${scope}"`), path);
    const headers = bearer(await tokenFor(layer, login, scope));
    equal((await layer.fetch(method, path, { headers, ...sent })).status, granted, `${method} ${path}`);
  }
});

test('a report without an instance is refused while an instance of the child is active', async () => {
  const login = basic(
    'cell',
    await tokens.create('cell', ['gateway/cell/config/write', 'gateway/cell/message/write']),
  );
  const report = async (instance?: string) => {
    const body = JSON.stringify({ made: 'm', events: [], ...(instance && { instance }) });
    return (await layer.fetch('POST', reportPath('cell'), { headers: login, body })).status;
  };
  equal(await report(), 200, 'no instance is active');
  const instance = '00000000-0000-4000-8000-000000000001';
  const body = JSON.stringify({ instance });
  equal((await layer.fetch('PUT', childPath('cell'), { headers: login, body })).status, 201);
  equal(await report(), 409);
  equal(await report('00000000-0000-4000-8000-000000000002'), 409);
  equal(await report(instance), 200);
});

test('in a layer without accounts, a long poll is answered 401 when the first account is created', async () => {
  await using open = await GatewayRig.start();
  const { cursor } = (await (await open.fetch('GET', CHANGES_PATH)).json()) as Changes;
  const answer = open.fetch('GET', `${CHANGES_PATH}?after=${cursor}&wait=58`);
  await (await Tokens.of(open)).create('first', on('*', 'content/read'));
  equal((await answer).status, 401);
});
