import { deepEqual, equal, match } from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { MAX_KINDS } from '../../../services/gateway/audit/refusals.ts';
import { configurationWith } from '../../support/configuration.ts';
import { until } from '../../support/until.ts';
import { ALL, basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';

/** Each write and each refusal has one log line, and no line of any level has a secret. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const secrets: string[] = [];
let ci: Record<string, string>;
let reader: Record<string, string>;
const digest = sha256('{}');
const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] });
const type = { 'content-type': mediaTypes.ociIndex };

before(async () => {
  const tokens = await Tokens.of(layer);
  const password = await tokens.create('ci', on('a/*', ...ALL));
  ci = basic('ci', password);
  const second = await tokens.create('reader', on('a/x', 'content/read'));
  reader = basic('reader', second);
  secrets.push(password, second, 'hunter2', 'my-password-typed-as-a-name!');
});

/** Audit lines of these requests, without the field that marks them. */
async function lines(...requests: (() => Promise<Response>)[]): Promise<object[]> {
  const from = layer.logged.length;
  for (const request of requests) await (await request()).arrayBuffer();
  // The line is written once the answer is sent, which may be after the client has received it.
  let size = -1;
  await until(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const same = size === layer.logged.length;
    size = layer.logged.length;
    return same;
  });
  return layer.logged
    .slice(from)
    .filter((line) => line.audit)
    .map(({ audit: _audit, ...line }) => JSON.parse(JSON.stringify(line)));
}

const send =
  (method: string, path: string, headers: Record<string, string> = {}, sent?: string) =>
  (): Promise<Response> =>
    layer.fetch(method, path, {
      headers: { 'x-forwarded-for': '192.0.2.9', ...headers },
      ...(sent !== undefined && { body: sent }),
    });
const same = { token: 'ci', address: '192.0.2.9' };
const write = { action: 'content/write', repository: 'a/x', ...same };

test('a push is logged with a line for each blob and manifest', async () => {
  const found = await lines(
    send('GET', '/v2/', ci),
    send('HEAD', `/v2/a/x/blobs/${digest}`, ci),
    send('POST', `/v2/a/x/blobs/uploads/?digest=${digest}`, ci, '{}'),
    send('POST', '/v2/a/x/blobs/uploads/', ci),
    send('PUT', '/v2/a/x/manifests/v1', { ...ci, ...type }, body),
    send('GET', '/v2/a/x/manifests/v1', ci),
    send('GET', '/v2/a/x/tags/list', ci),
    send('GET', '/v2/_catalog', ci),
  );
  deepEqual(found, [
    { message: 'written', method: 'POST', ...write, digest, status: 201 },
    { message: 'written', method: 'PUT', ...write, reference: 'v1', status: 201 },
  ]);
});

test('an upload is logged once, when it ends; mounts, deletions and failures are logged, too', async () => {
  const at = (await layer.fetch('POST', '/v2/a/x/blobs/uploads/', { headers: ci })).headers.get('location')!;
  const absent = sha256('absent');
  const deletion = { action: 'content/delete', repository: 'a/x', ...same };
  const found = await lines(
    send('PATCH', at, ci, 'abc'),
    send('PUT', `${at}?digest=${sha256('abc')}`, ci),
    send('POST', `/v2/a/y/blobs/uploads/?mount=${digest}&from=a/x`, ci),
    send('PUT', '/v2/a/x/manifests/bad', { ...ci, ...type }, '{'),
    send('DELETE', '/v2/a/x/manifests/v1', ci),
    send('DELETE', `/v2/a/x/blobs/${absent}`, ci),
  );
  deepEqual(found, [
    { message: 'written', method: 'PUT', ...write, digest: sha256('abc'), status: 201 },
    { message: 'written', method: 'POST', ...write, repository: 'a/y', digest, status: 201 },
    { message: 'refused', method: 'PUT', ...write, reference: 'bad', status: 400 },
    { message: 'written', method: 'DELETE', ...deletion, reference: 'v1', status: 202 },
    { message: 'refused', method: 'DELETE', ...deletion, digest: absent, status: 404 },
  ]);
});

test('refusals are logged once per kind; a challenge of a read without credentials is not logged', async () => {
  const token = bearer(await tokenFor(layer, reader, 'repository:a/x:pull'));
  const by = { address: '192.0.2.9', token: 'reader' };
  const read = { action: 'content/read', method: 'GET', reference: 'v1' };
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const found = await lines(
    send('GET', '/v2/'),
    send('GET', '/v2/a/x/manifests/v1'),
    send('GET', '/v2/a/x/manifests/v1', reader),
    send('GET', '/v2/b/x/manifests/v1', reader),
    send('GET', '/v2/a/x/tags/list', reader),
    send('GET', '/v2/b/x/manifests/v1', token),
    send('GET', '/v2/_catalog', token),
    send('GET', '/v2/', basic('ci', 'hunter2')),
    send('GET', '/v2/', basic('my-password-typed-as-a-name!', 'hunter2')),
    send('GET', '/v2/token?scope=repository:a/x:pull&password=hunter2', basic('ci', 'hunter2')),
    send('POST', '/v2/token?password=hunter2', form, 'username=ci&password=hunter2'),
    send('GET', '/oauth2/exchange?password=hunter2', ci),
    send('GET', '/v2/', bearer('hunter2.hunter2.hunter2')),
    send('DELETE', '/v2/a/x/manifests/v1'),
  );
  deepEqual(found, [
    { message: 'refused', ...read, repository: 'b/x', ...by, status: 404 },
    { message: 'refused', action: 'metadata/read', method: 'GET', repository: 'a/x', ...by, status: 403 },
    { message: 'refused', action: 'catalog', method: 'GET', ...by, status: 401 },
    { message: 'refused', action: 'login', method: 'GET', ...same, status: 401 },
    { message: 'refused', action: 'token', method: 'GET', ...same, status: 401 },
    {
      message: 'refused',
      action: 'content/delete',
      method: 'DELETE',
      repository: 'a/x',
      reference: 'v1',
      address: '192.0.2.9',
      status: 401,
    },
  ]);
});

test('a write refused by the mode, and a throttled login, are logged', async () => {
  layer.mode = 'ReadOnly';
  const byMode = await lines(send('PUT', '/v2/a/x/manifests/v1', { ...ci, ...type }, body));
  layer.mode = 'ReadWrite';
  deepEqual(byMode, [{ message: 'refused', method: 'PUT', ...write, reference: 'v1', status: 403 }]);
  const guess = send('GET', '/v2/', { ...basic('ci', 'hunter2'), 'x-forwarded-for': '192.0.2.10' });
  const found = await lines(guess, guess, guess, guess, guess, guess);
  deepEqual(found.at(-1), {
    message: 'refused',
    action: 'login',
    method: 'GET',
    token: 'ci',
    address: '192.0.2.10',
    status: 429,
  });
});

test('an anonymous read is not logged', async () => {
  layer.configuration = configurationWith({ anonymousPull: ['a/*'] });
  deepEqual(await lines(send('GET', '/v2/a/x/manifests/none')), []);
  layer.configuration = undefined;
});

test('no line contains a password or a token', () => {
  const all = layer.logged.map((line) =>
    JSON.stringify(line, (_key, value) =>
      value instanceof Error ? `${value.stack} ${JSON.stringify(value)}` : value,
    ),
  );
  const encoded = [ci, reader].map(({ authorization }) => authorization!.split(' ')[1]!);
  for (const secret of [...secrets, ...encoded, 'eyJ']) {
    equal(all.filter((line) => line.includes(secret)).length, 0, secret);
  }
  equal(all.length > 30, true);
});

test('a long forwarded address is clipped in its line', async () => {
  const [line] = await lines(
    send('GET', '/v2/', { ...basic('ci', 'hunter2'), 'x-forwarded-for': 'x'.repeat(10_000) }),
  );
  equal((line as { address: string }).address, `${'x'.repeat(79)}…`);
});

test('a client text that is clipped within a character does not block later entries', async () => {
  const cut = send('GET', `/v2/?digest=${'a'.repeat(138)}%F0%9F%98%80%F0%9F%98%80`, {
    ...basic('ci', 'hunter2'),
    'x-forwarded-for': '198.51.100.1',
  });
  const [line] = await lines(cut);
  equal((line as { digest: string }).digest, `${'a'.repeat(138)}\ufffd…`);
  const later = { ...ci, ...type, 'x-forwarded-for': '198.51.100.1' };
  await lines(send('PUT', '/v2/a/x/manifests/after', later, '{'));
  const written = () => readFile(join(layer.data, 'log/audit.log'), 'utf8');
  await until(async () => (await written()).includes('"reference":"after"'));
  equal((await written()).includes(`${'a'.repeat(138)}\ufffd…`), true);
});

test('refusals of unauthenticated names do not displace refusals of accounts', async () => {
  const many = Array.from({ length: MAX_KINDS + 1 }, (_, n) => n);
  const guesses = many.map((n) =>
    send('GET', '/v2/', { ...basic(`stranger-${n}`, 'hunter2'), 'x-forwarded-for': '198.51.100.2' }),
  );
  const of = (found: object[]) => found.map((line) => (line as { token?: string }).token);
  deepEqual(of(await lines(...guesses)), ['stranger-0'], 'the first one is named');
  const elsewhere = many.map((n) =>
    send('GET', '/v2/', { ...bearer('a.b.c'), 'x-forwarded-for': `203.0.113.${n}` }),
  );
  await lines(...elsewhere);
  const own = { ...reader, 'x-forwarded-for': '203.0.113.200' };
  deepEqual(of(await lines(send('GET', '/v2/a/x/tags/list', own))), ['reader']);
});

test('refusals without any login do not displace refusals of accounts either', async () => {
  await using other = await GatewayRig.start();
  const login = basic('viewer', await (await Tokens.of(other)).create('viewer', ['operate/read']));
  const from = { origin: 'https://evil.example' };
  for (let n = 0; n <= MAX_KINDS; n += 1) {
    const headers = { ...from, 'x-forwarded-for': `203.0.113.${n}` };
    equal((await other.fetch('DELETE', '/api/v1/session', { headers })).status, 403);
    const malformed = await other.fetch('POST', '/api/v1/session', {
      headers: { 'x-forwarded-for': `203.0.113.${n}` },
    });
    equal(malformed.status, 400);
  }
  equal((await other.fetch('DELETE', '/v2/a/manifests/v1', { headers: login })).status, 404);
  await until(() => other.logged.some(({ audit, token }) => audit && token === 'viewer'));
});

test('a session that neither begins nor ends is no entry, whatever login the request has', async () => {
  await using other = await GatewayRig.start();
  const body = JSON.stringify({ name: 'any', password: 'any' });
  const type = { 'content-type': 'application/json' };
  equal((await other.fetch('POST', '/api/v1/session', { headers: type, body })).status, 200);
  const tokens = await Tokens.of(other);
  const password = await tokens.create('viewer', ['operate/read']);
  const cookie = { cookie: 'terrace-session=x', 'x-terrace-request': '1' };
  for (const headers of [{}, cookie, bearer('a.b.c'), basic('viewer', 'wrong'), basic('viewer', password)]) {
    const { status } = await other.fetch('DELETE', '/api/v1/session', { headers });
    equal(status, 200);
  }
  const login = JSON.stringify({ name: 'viewer', password });
  const begun = await other.fetch('POST', '/api/v1/session', { headers: type, body: login });
  const own = { ...cookie, cookie: begun.headers.get('set-cookie')?.split(';')[0] ?? '' };
  for (let n = 0; n < 3; n += 1) {
    equal((await other.fetch('DELETE', '/api/v1/session', { headers: own })).status, 200);
  }
  const entries = () =>
    other.logged
      .filter(({ audit }) => audit)
      .map(({ message, action, token }) => ({ message, action, token }));
  await until(() => entries().some(({ action }) => action === 'session/end'));
  deepEqual(entries(), [
    { message: 'written', action: 'session/begin', token: 'viewer' },
    { message: 'written', action: 'session/end', token: 'viewer' },
  ]);
});

test('all entries reach the audit of the layer, and refusals do not displace writes', async () => {
  await using other = await GatewayRig.start({ gatherMs: 50 });
  const tokens = await Tokens.of(other);
  const headers = basic('ci', await tokens.create('ci', on('a', ...ALL)));
  const at = `/v2/a/blobs/uploads/?digest=${digest}`;
  equal((await other.fetch('POST', at, { headers, body: '{}' })).status, 201);
  const list = () => other.fetch('GET', `/v2/b${Math.floor(Math.random() * 1e6)}/tags/list`, { headers });
  for (let n = 0; n < 10; n += 1) {
    for (const { status } of await Promise.all(Array.from({ length: 50 }, list))) equal(status, 404);
  }
  const entries = async () => {
    const text = await readFile(join(other.data, 'log/audit.log'), 'utf8');
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  };
  const refused = async () => (await entries()).filter(({ outcome }) => outcome === 'refused');
  await until(async () => (await refused()).reduce((sum, { count = 1 }) => sum + count, 0) === 500);
  const refusals = await refused();
  equal(refusals.length < 100, true, `${refusals.length} lines for 500 refusals`);
  deepEqual(
    [...new Set(refusals.map(({ account, action, status }) => `${account} ${action} ${status}`))],
    ['ci metadata/read 404'],
  );
  const {
    id,
    time,
    layer: name,
    ...written
  } = (await entries()).find(({ outcome }) => outcome === 'written');
  match(id, /^\d+-[0-9a-f]+$/);
  deepEqual(written, {
    outcome: 'written',
    action: 'content/write',
    method: 'POST',
    repository: 'a',
    digest,
    address: '127.0.0.1',
    status: 201,
    account: 'ci',
  });
});
