import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { patience } from '../../support/until.ts';
import { ALL, basic, bearer, granted, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { raw } from '../http.ts';
import { check, errorBody } from '../rows.ts';

const layer = await GatewayRig.start({ idleMs: patience(200) });
after(() => layer[Symbol.asyncDispose]());

let password: string;
let ci: Record<string, string>;
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const paths = ['/v2/token', '/acr/oauth2/token', '/oauth2/token'];

before(async () => {
  const tokens = await Tokens.of(layer);
  password = await tokens.create('ci', [...on('a/*', ...ALL), ...on('b/x', 'content/read')]);
  ci = basic('ci', password);
});

for (const path of paths) {
  test(`GET ${path} issues a token for ten minutes`, async () => {
    const query =
      'service=registry.example&scope=repository:a/x:pull&account=ci&client_id=docker&offline_token=true';
    const response = await check(layer, {
      send: ['GET', `${path}?${query}`],
      headers: ci,
      status: 200,
      expectedHeaders: { 'cache-control': 'no-store', 'content-type': /^application\/json/ },
    });
    equal(response.headers.get('www-authenticate'), null);
    const body = (await (await layer.fetch('GET', `${path}?${query}`, { headers: ci })).json()) as Record<
      string,
      string
    >;
    deepEqual(Object.keys(body), ['token', 'access_token', 'expires_in', 'issued_at']);
    equal(body.token, body.access_token);
    equal(body.expires_in, 600);
    ok(Math.abs(Date.parse(String(body.issued_at)) - Date.now()) < 60_000);
    const claims = JSON.parse(Buffer.from(String(body.token).split('.')[1]!, 'base64url').toString());
    equal(claims.sub, 'ci');
    equal(claims.exp - claims.iat, 600);
    await check(layer, { send: ['GET', '/v2/'], headers: bearer(String(body.token)), status: 200 });
  });

  test(`POST ${path} issues a token for a name and password in a form`, async () => {
    const fields = {
      grant_type: 'password',
      service: 'x',
      username: 'ci',
      password,
      scope: 'repository:a/x:pull',
    };
    const body = new URLSearchParams(fields).toString();
    const response = await layer.fetch('POST', path, { headers: form, body });
    equal(response.status, 200);
    const { access_token } = (await response.json()) as { access_token: string };
    deepEqual(granted(access_token), ['repository:a/x:pull,metadata_read']);
  });
}

test('several scopes, repeated and separated by spaces, are each narrowed to the rights of the account', async () => {
  const token = await tokenFor(
    layer,
    ci,
    'repository:a/x:pull,push repository:b/x:pull,push',
    'repository:b/y:pull',
    'registry:catalog:*',
    'repository:a/y:delete',
  );
  deepEqual(granted(token), [
    'repository:a/x:pull,metadata_read,push,metadata_write',
    'repository:b/x:pull',
    'registry:catalog:*',
    'repository:a/y:delete',
  ]);
});

test('a form may have several scopes, and its credentials in the header', async () => {
  const body =
    'grant_type=password&scope=repository:a/x:pull&scope=repository:b/x:pull+repository:a/y:delete';
  const response = await layer.fetch('POST', '/v2/token', { headers: { ...form, ...ci }, body });
  const { token } = (await response.json()) as { token: string };
  deepEqual(granted(token), [
    'repository:a/x:pull,metadata_read',
    'repository:b/x:pull',
    'repository:a/y:delete',
  ]);
});

test('a ReadOnly layer issues tokens, also by POST', async () => {
  layer.mode = 'ReadOnly';
  const body = new URLSearchParams({ username: 'ci', password }).toString();
  const { status } = await layer.fetch('POST', '/v2/token', { headers: form, body });
  layer.mode = 'ReadWrite';
  equal(status, 200);
});

const refused: [string, [string, string], Record<string, string>, string | undefined, number][] = [
  ['no credentials', ['GET', '/v2/token'], {}, undefined, 401],
  ['a wrong password', ['GET', '/v2/token'], basic('ci', 'wrong'), undefined, 401],
  ['an unknown name', ['GET', '/v2/token'], basic('cd', 'wrong'), undefined, 401],
  ['a wrong password in a form', ['POST', '/v2/token'], form, 'username=ci&password=wrong', 401],
  ['a form without a password', ['POST', '/v2/token'], form, 'username=ci', 401],
  ['a form without credentials', ['POST', '/v2/token'], form, 'grant_type=password', 401],
  ['a form of 70 KB', ['POST', '/v2/token'], form, `scope=${'x'.repeat(70_000)}`, 413],
  ['another method', ['PUT', '/v2/token'], {}, 'x', 405],
];
for (const [title, send, headers, body, status] of refused) {
  test(`a token request with ${title} is answered ${status}`, async () => {
    const response = await check(layer, { send, headers, ...(body && { body }), status });
    equal(response.headers.get('www-authenticate')?.split(' ')[0], status === 401 ? 'Basic' : undefined);
  });
}

for (const [title, headers, body, error] of [
  ['a refresh token', form, 'grant_type=refresh_token&refresh_token=x', 'unsupported_grant_type'],
  ['an authorization code', form, 'grant_type=authorization_code&code=x', 'unsupported_grant_type'],
  ['a JSON body', { 'content-type': 'application/json' }, '{}', 'invalid_request'],
] as const) {
  test(`${title} is refused with an OAuth error`, async () => {
    const response = await layer.fetch('POST', '/oauth2/token', { headers, body });
    equal(response.status, 400);
    const answer = (await response.json()) as Record<string, string>;
    equal(answer.error, error);
    match(answer.error_description!, /\w/);
  });
}

test('a form that is not received in time is answered 408', async () => {
  const head = 'POST /v2/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 100\r\n';
  const answer = await raw(layer.port, `${head}Content-Type: ${form['content-type']}\r\n\r\nusername=`);
  match(answer, /^HTTP\/1\.1 408 /);
  errorBody(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'SIZE_INVALID');
});

test('a token has at most 100 scopes, so that it fits into a header', async () => {
  const scopes = Array.from({ length: 150 }, (_, i) => `repository:a/${'x'.repeat(200)}${i}:*`);
  const body = new URLSearchParams([
    ['username', 'ci'],
    ['password', password],
    ...scopes.map((scope): [string, string] => ['scope', scope]),
  ]).toString();
  const response = await layer.fetch('POST', '/v2/token', { headers: form, body });
  const { token } = (await response.json()) as { token: string };
  equal(granted(token).length, 100);
  await check(layer, { send: ['GET', '/v2/'], headers: bearer(token), status: 200 });
});
