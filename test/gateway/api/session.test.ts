import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Session } from '#proto/api/session.ts';
import { SESSION_IDLE_MS, SESSION_MAX_MS } from '../../../services/gateway/auth/sessions.ts';
import { limits } from '../../../services/gateway/auth/throttle.ts';
import { until } from '../../support/until.ts';
import { ALL, basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { raw } from '../http.ts';
import { ApiClient } from './api-client.ts';
import { SseReader } from './sse-reader.ts';

let now = Date.now();
const layer = await GatewayRig.start({ recheckMs: 50 }, { now: () => now });
after(() => layer[Symbol.asyncDispose]());

let api: ApiClient;
let tokens: Tokens;
const passwords = new Map<string, string>();
const CSRF = { 'x-terrace-request': '1' };

before(async () => {
  api = await ApiClient.of(layer);
  const open = (await api.get('/session')).body as Session;
  deepEqual(open, { name: '', may: ['operate/read', 'operate/write'], open: true });
  const begun = await api.send('POST', '/session', { body: { name: 'any', password: 'any' } });
  deepEqual([begun.status, begun.headers.get('set-cookie')], [200, null]);
  tokens = await Tokens.of(layer);
  for (const [name, actions] of [
    ['ops', ['operate/read', 'operate/write']],
    ['viewer', ['operate/read']],
    ['client', on('*', ...ALL)],
  ] as const) {
    passwords.set(name, await tokens.create(name, [...actions]));
  }
});

async function login(name: string, headers: Record<string, string> = {}) {
  const body = { name, password: passwords.get(name) };
  const answer = await api.send('POST', '/session', { body, headers });
  const [cookie = ''] = (answer.headers.get('set-cookie') ?? '').split(';');
  return {
    ...answer,
    session: answer.body as Session,
    cookie,
    setCookie: answer.headers.get('set-cookie') ?? '',
  };
}

test('a login begins a session that says what it may do, and its cookie is for this host and no script', async () => {
  const { status, session, setCookie, cookie } = await login('ops');
  equal(status, 200);
  deepEqual([session.name, session.may, session.open], ['ops', ['operate/read', 'operate/write'], false]);
  ok(Math.abs((session.until ?? 0) - (now + SESSION_IDLE_MS)) < 2_000);
  match(
    setCookie,
    new RegExp(`^terrace-session-${layer.port}=[\\w.-]+; Path=/; Max-Age=1800; HttpOnly; SameSite=Strict$`),
  );
  equal((await api.as({ cookie }).get('/layer')).status, 200);
  const viewer = await login('viewer');
  deepEqual(viewer.session.may, ['operate/read']);
  deepEqual((await login('client')).session.may, []);
});

test('behind TLS, the cookie is Secure and bound to the host; one without that name is ignored', async () => {
  const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'plant.example' };
  const { setCookie, cookie } = await login('ops', headers);
  match(
    setCookie,
    /^__Host-terrace-session=[\w.-]+; Path=\/; Max-Age=1800; HttpOnly; SameSite=Strict; Secure$/,
  );
  equal((await api.as({ ...headers, cookie }).get('/layer')).status, 200);
  const plain = cookie.replace('__Host-', '');
  equal((await api.as({ ...headers, cookie: plain }).get('/layer')).status, 401);
});

test('fixation: each login has a new session, whatever cookie its request has', async () => {
  const first = await login('viewer');
  const second = await login('ops', { cookie: first.cookie, ...CSRF });
  notEqual(first.cookie, second.cookie);
  const idOf = (cookie: string) =>
    JSON.parse(Buffer.from(cookie.split('.')[1] ?? '', 'base64url').toString()) as {
      jti: string;
      sub: string;
    };
  notEqual(idOf(first.cookie).jti, idOf(second.cookie).jti);
  equal((await api.as({ cookie: first.cookie }).get('/session')).status, 200);
  const planted = `${first.cookie}; ${second.cookie}`;
  equal(
    (await api.as({ cookie: planted }).get('/layer')).status,
    401,
    'of two cookies, one is not of this layer',
  );
});

test('a change with a cookie needs the header of this layer, and comes from no other site', async () => {
  const { cookie } = await login('ops');
  const by = api.as({ cookie });
  for (const [headers, status] of [
    [{}, 403],
    [{ 'x-terrace-request': '0' }, 403],
    [{ ...CSRF, origin: 'https://evil.example' }, 403],
    [{ ...CSRF, 'sec-fetch-site': 'cross-site' }, 403],
    [{ ...CSRF, 'sec-fetch-site': 'same-site' }, 403],
    [{ ...CSRF, origin: layer.url, 'sec-fetch-site': 'same-origin' }, 200],
  ] as [Record<string, string>, number][]) {
    const answer = await by.send('DELETE', '/session', { headers });
    equal(answer.status, status, JSON.stringify(headers));
  }
});

test('a page of this layer may name the default port of its scheme, or leave it out', async () => {
  for (const [host, origin, status] of [
    ['registry.example:443', 'https://registry.example', 200],
    ['registry.example', 'https://registry.example', 200],
    ['Registry.example:80', 'http://registry.example', 200],
    ['registry.example:8443', 'https://registry.example:8443', 200],
    ['registry.example:80', 'https://registry.example', 403],
    ['registry.example:443', 'http://registry.example', 403],
    ['registry.example:443', 'https://registry.example:8443', 403],
    ['registry.example:443', 'https://evil.example', 403],
    ['registry.example@evil.example', 'https://evil.example', 403],
    ['registry.example:443', 'null', 403],
  ] as const) {
    const answer = await raw(
      layer.port,
      `DELETE /api/v1/session HTTP/1.1\r\nhost: ${host}\r\norigin: ${origin}\r\nconnection: close\r\n\r\n`,
    );
    const expected = host.includes('@') ? /^HTTP\/1.1 40[03] / : new RegExp(`^HTTP/1.1 ${status} `);
    match(answer, expected, `${host} ${origin}`);
  }
});

test('a form of another site begins no session', async () => {
  const body = new URLSearchParams({ name: 'ops', password: passwords.get('ops') ?? '' }).toString();
  for (const type of ['application/x-www-form-urlencoded', 'text/plain']) {
    const response = await layer.fetch('POST', '/api/v1/session', {
      headers: { 'content-type': type },
      body,
    });
    equal(response.status, 400, type);
    equal(response.headers.get('set-cookie'), null);
  }
});

test('a session ends without a request, and at last after its longest time; a request renews it', async () => {
  const start = now;
  const { cookie } = await login('ops');
  now += SESSION_IDLE_MS - 1_000;
  const renewed = await api.as({ cookie }).get('/session');
  equal(renewed.status, 200);
  const [second = ''] = (renewed.headers.get('set-cookie') ?? '').split(';');
  ok(second.startsWith('terrace-session'));
  now += 2_000;
  equal((await api.as({ cookie }).get('/session')).status, 401, 'the first cookie is over');
  equal((await api.as({ cookie: second }).get('/session')).status, 200);
  let current = second;
  while (now < start + SESSION_MAX_MS - SESSION_IDLE_MS / 2) {
    now += SESSION_IDLE_MS / 2;
    const { status, headers } = await api.as({ cookie: current }).get('/session');
    equal(status, 200);
    current = (headers.get('set-cookie') ?? current).split(';')[0] as string;
  }
  now = start + SESSION_MAX_MS;
  equal((await api.as({ cookie: current }).get('/session')).status, 401, 'the longest time is over');
});

test('a session that was ended is over, with a stream that it had open', async () => {
  const { cookie } = await login('ops');
  const reader = await SseReader.open(layer, '', { cookie });
  await until(() => reader.comments > 0);
  const ended = await api.as({ cookie }).send('DELETE', '/session', { headers: CSRF });
  match(ended.headers.get('set-cookie') ?? '', /^terrace-session-\d+=; Path=\/; Max-Age=0;/);
  await reader.closed;
  equal(reader.events.at(-1)?.name, 'end');
  equal((await api.as({ cookie }).get('/layer')).status, 401);
});

test('a session that was ended is over in every gateway of the layer, also after it is started again', async () => {
  const { cookie } = await login('ops');
  // The name has the port of the gateway. Behind one proxy, both gateways have one name.
  const headersAt = (port: number) => ({ cookie: cookie.replace(String(layer.port), String(port)) });
  const statusAt = async ({ url, port }: { url: string; port: number }) =>
    (await fetch(`${url}/api/v1/layer`, { headers: headersAt(port) })).status;
  {
    await using other = await layer.another();
    equal(await statusAt(other), 200);
    const reader = await SseReader.open(other, '', headersAt(other.port));
    await until(() => reader.comments > 0);
    equal((await api.as({ cookie }).send('DELETE', '/session', { headers: CSRF })).status, 200);
    await reader.closed;
    equal(reader.events.at(-1)?.data.code, 'unauthorized');
    equal(await statusAt(other), 401);
  }
  await using later = await layer.another();
  equal(await statusAt(later), 401);
});

test('the cookie is deleted also while storage does not answer, and the answer says that it failed', async () => {
  await using other = await GatewayRig.start({ patienceMs: 100 }, { apart: true });
  await other.storageDown();
  const cookie = `terrace-session-${other.port}=a.b.c`;
  const { status, headers } = await other.fetch('DELETE', '/api/v1/session', {
    headers: { cookie, ...CSRF },
  });
  equal(status, 503);
  match(headers.get('set-cookie') ?? '', /^terrace-session-\d+=; Path=\/; Max-Age=0;/);
});

test('a logout that storage can not record is over in this gateway at once, and in others as soon as it can', async () => {
  await using other = await GatewayRig.start({ patienceMs: 100 }, { apart: true });
  const there = await ApiClient.of(other);
  const password = await (await Tokens.of(other)).create('ops', ['operate/read']);
  const begun = await there.send('POST', '/session', { body: { name: 'ops', password } });
  const [cookie = ''] = (begun.headers.get('set-cookie') ?? '').split(';');
  const statusOf = async () => (await there.as({ cookie }).get('/session')).status;
  equal(await statusOf(), 200);
  await other.storageDown();
  equal((await there.as({ cookie }).send('DELETE', '/session', { headers: CSRF })).status, 503);
  equal(await statusOf(), 401);
  await other.storageUp();
  equal(await statusOf(), 401);
  await using second = await other.another();
  const headers = { cookie: cookie.replace(String(other.port), String(second.port)) };
  const statusThere = async () => (await fetch(`${second.url}/api/v1/session`, { headers })).status;
  await until(async () => (await statusThere()) === 401, 'storage knows the logout');
});

test('a session ends when its token is disabled, gets another password, or loses its rights; so does its stream', async () => {
  for (const change of ['disable', 'rotate', 'scope', 'delete'] as const) {
    passwords.set(change, await tokens.create(change, ['operate/read']));
    const { cookie } = await login(change);
    const reader = await SseReader.open(layer, '', { cookie });
    await until(() => reader.comments > 0);
    if (change === 'disable') await tokens.enable(change, false);
    if (change === 'rotate') await tokens.rotate(change);
    if (change === 'scope') await tokens.scope(change, ['repositories/*/content/read']);
    if (change === 'delete') await tokens.delete(change);
    await reader.closed;
    equal(reader.events.at(-1)?.data.code, 'unauthorized', change);
    equal((await api.as({ cookie }).get('/layer')).status, change === 'scope' ? 403 : 401, change);
  }
});

test('a cookie is a login for the API alone, and no Bearer token; a Bearer token is no cookie', async () => {
  const { cookie } = await login('client');
  equal((await layer.fetch('GET', '/v2/', { headers: { cookie } })).status, 401);
  const value = cookie.slice(cookie.indexOf('=') + 1);
  equal((await layer.fetch('GET', '/v2/', { headers: bearer(value) })).status, 401);
  equal((await api.as(bearer(value)).get('/session')).status, 401);
  const token = await tokenFor(layer, basic('ops', passwords.get('ops') ?? ''), 'operate:layer:read');
  const name = cookie.slice(0, cookie.indexOf('='));
  equal((await api.as({ cookie: `${name}=${token}` }).get('/layer')).status, 401);
  const forged = `${value.split('.')[0]}.${Buffer.from('{"sub":"ops"}').toString('base64url')}.${value.split('.')[2]}`;
  equal((await api.as({ cookie: `${name}=${forged}` }).get('/layer')).status, 401);
});

test('a page gets no challenge for which its browser would ask for a password', async () => {
  const response = await layer.fetch('GET', '/api/v1/layer', { headers: { 'sec-fetch-dest': 'empty' } });
  match(response.headers.get('www-authenticate') ?? '', /^Bearer /);
});

test('wrong passwords are slowed down, and are in the audit with the address', async () => {
  const statuses: number[] = [];
  for (let attempt = 0; attempt <= limits.pair.free; attempt += 1) {
    const body = { name: 'guessed', password: `wrong ${attempt}` };
    statuses.push((await api.send('POST', '/session', { body })).status);
  }
  deepEqual(statuses, [...Array.from({ length: limits.pair.free }, () => 401), 429]);
  const entries = layer.logged.filter(({ action }) => action === 'session/begin');
  const refused = entries.filter(({ message }) => message === 'refused');
  ok(refused.some(({ address, status }) => address === '127.0.0.1' && status === 401));
  ok(entries.some(({ message, token }) => message === 'written' && token === 'ops'));
  ok(!JSON.stringify(layer.logged).includes('wrong 1'));
});

test('a body with an unknown field, or without a field, is refused', async () => {
  for (const body of [{ name: 'ops' }, { name: 'ops', password: 'x', other: 1 }, []]) {
    equal((await api.send('POST', '/session', { body })).status, 400);
  }
});
