import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const LOGIN = { username: 'layer', password: 'se:cret' };
const BASIC = `Basic ${Buffer.from('layer:se:cret').toString('base64')}`;
const UNKNOWN = '{"errors":[{"code":"NAME_UNKNOWN"}]}';
const TAGS = '{"tags":["one"]}';

type Asked = { path: string; query: URLSearchParams; authorization: string | undefined; body: string };
type Answer = { status?: number; headers?: Record<string, string | string[]>; body?: string };
type Parent = (asked: Asked) => Answer;

const challenge = (...values: string[]): Answer => ({ status: 401, headers: { 'www-authenticate': values } });
const granting = (answer: unknown, status = 200): Answer => ({ status, body: JSON.stringify(answer) });

/** Serves `parent`; `asked` lists the requests as "METHOD path authorization-scheme". */
async function serving(parent: Parent, login: typeof LOGIN | null = LOGIN) {
  const asked: string[] = [];
  const server = await serveHttp(async (request: IncomingMessage, response: ServerResponse) => {
    let body = '';
    for await (const part of request) body += part;
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x');
    const { authorization } = request.headers;
    asked.push([request.method, pathname, authorization?.split(' ')[0]].filter(Boolean).join(' '));
    const answer = parent({ path: pathname, query: searchParams, authorization, body });
    response.writeHead(answer.status ?? 200, answer.headers).end(answer.body ?? TAGS);
  });
  const link = new ParentLink({ url: server.url, login: login ?? undefined });
  return {
    asked,
    url: server.url,
    link,
    registry: new ParentRegistry(link),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A parent that grants the token `good` at `/token`, and challenges otherwise. */
const withTokens =
  (answer: Answer, ...values: string[]): Parent =>
  ({ path, authorization }) => {
    if (path === '/token') return answer;
    return authorization === 'Bearer good' ? {} : challenge(...values);
  };
const REALM = 'Bearer realm="/token",service="r"';
const FIRST = 'GET /v2/a/tags/list';
const TOKEN = 'GET /token Basic';
const SECOND = [`${FIRST} Bearer`, 'GET /v2/b/tags/list Bearer'];

/** Parents that a configured login opens, and the requests for the tags of `a` and `b`. */
const PARENTS: [name: string, parent: Parent, ...requests: string[]][] = [
  ...[401, 403, 404].map((status): (typeof PARENTS)[0] => [
    `${status} without a challenge`,
    ({ path, authorization }) => (path === '/v2/' || authorization === BASIC ? {} : { status }),
    FIRST,
    `${FIRST} Basic`,
    'GET /v2/b/tags/list Basic',
  ]),
  [
    'a challenge of a scheme that is not supported',
    ({ authorization }) => (authorization === BASIC ? {} : challenge('Negotiate')),
    FIRST,
    `${FIRST} Basic`,
    'GET /v2/b/tags/list Basic',
  ],
  [
    '404 without a login, and a Bearer challenge to Basic',
    (asked) =>
      asked.authorization ? withTokens(granting({ token: 'good' }), REALM)(asked) : { status: 404 },
    FIRST,
    `${FIRST} Basic`,
    TOKEN,
    `${FIRST} Bearer`,
    'GET /token Basic',
    'GET /v2/b/tags/list Bearer',
  ],
  [
    'Basic beside a Bearer challenge whose token service refuses',
    ({ path, authorization }) =>
      authorization === BASIC && path !== '/token'
        ? {}
        : path === '/token'
          ? { status: 403 }
          : challenge(REALM, 'Basic realm="x"'),
    FIRST,
    TOKEN,
    `${FIRST} Basic`,
    'GET /v2/b/tags/list Basic',
  ],
  [
    'Basic beside a Bearer challenge without a realm',
    ({ authorization }) =>
      authorization === BASIC ? {} : challenge('Bearer realm="",service="", Basic realm="x"'),
    FIRST,
    `${FIRST} Basic`,
    'GET /v2/b/tags/list Basic',
  ],
  [
    'only a Bearer challenge without a realm',
    ({ authorization }) => (authorization === BASIC ? {} : challenge('Bearer realm=""')),
    FIRST,
    `${FIRST} Basic`,
    'GET /v2/b/tags/list Basic',
  ],
];

for (const [name, parent, ...requests] of PARENTS) {
  test(`the login is used at a parent with ${name}`, async () => {
    await using server = await serving(parent);
    for (const repository of ['a', 'b'])
      assert.deepEqual(await server.registry.tags(repository, signal), ['one']);
    assert.deepEqual(server.asked, requests);
  });
}

/** Answers of a token service that grant a token. */
const GRANTS: [name: string, Answer][] = [
  ['status 201', granting({ token: 'good' }, 201)],
  ['status 203', granting({ token: 'good' }, 203)],
  ['`access_token` only', granting({ access_token: 'good' })],
  ['an empty `token`', granting({ token: '', access_token: 'good' })],
  ['`token` null', granting({ token: null, access_token: 'good' })],
  ['an empty `access_token`', granting({ token: 'good', access_token: '' })],
  ...[0, -1, '300', '', 'never', null, 1e300, {}].map((expires_in): (typeof GRANTS)[0] => [
    `\`expires_in\` ${JSON.stringify(expires_in)}`,
    granting({ token: 'good', expires_in }),
  ]),
  ['an odd `issued_at`', granting({ token: 'good', expires_in: 300, issued_at: '1970-01-01' })],
];

for (const [name, answer] of GRANTS) {
  test(`a token is granted by an answer with ${name}`, async () => {
    await using server = await serving(withTokens(answer, REALM));
    for (const _ of [1, 2]) assert.deepEqual(await server.registry.tags('a', signal), ['one']);
    assert.deepEqual(server.asked, [FIRST, TOKEN, `${FIRST} Bearer`, `${FIRST} Bearer`]);
  });
}

test('a token service without GET is asked by POST, and not by GET again', async () => {
  for (const status of [404, 405, 501]) {
    const forms: Record<string, string>[] = [];
    await using server = await serving(({ path, query, authorization, body }) => {
      if (path !== '/token')
        return authorization === 'Bearer good' ? {} : challenge('Bearer realm="/token?a=b",service="r"');
      if (!body) return { status };
      forms.push({ ...Object.fromEntries(new URLSearchParams(body)), query: String(query) });
      return granting({ access_token: 'good', expires_in: 300 });
    });
    for (const repository of ['a', 'b'])
      assert.deepEqual(await server.registry.tags(repository, signal), ['one']);
    assert.deepEqual(server.asked, [
      FIRST,
      TOKEN,
      'POST /token',
      `${FIRST} Bearer`,
      'POST /token',
      SECOND[1],
    ]);
    const { username, password } = LOGIN;
    const form = {
      grant_type: 'password',
      client_id: 'terrace',
      service: 'r',
      username,
      password,
      query: 'a=b',
    };
    assert.deepEqual(
      forms,
      ['a', 'b'].map((name) => ({ ...form, scope: `repository:${name}:pull` })),
    );
  }
});

test('a missing token service is reported by its answer to GET, and none is posted to without a login', async () => {
  const parent = withTokens({ status: 404, body: 'no such page' }, REALM);
  for (const [login, requests] of [
    [LOGIN, [FIRST, TOKEN, 'POST /token']],
    [null, [FIRST, 'GET /token']],
  ] as const) {
    await using server = await serving(parent, login);
    await assert.rejects(server.registry.tags('a', signal), {
      code: 'parent-refused',
      message: /^GET .*\/token: the parent answered 404: no such page$/,
    });
    assert.deepEqual(server.asked, requests);
  }
});

test('a login that is not accepted is a fault, and without a login nothing is sent', async () => {
  const parent: Parent = ({ authorization }) => ({
    ...(authorization ? { status: 401 } : { status: 404, body: UNKNOWN }),
  });
  await using server = await serving(parent);
  for (const repository of ['a', 'b']) {
    await assert.rejects(server.registry.tags(repository, signal), {
      code: 'parent-refused',
      detail: { status: 401 },
    });
  }
  assert.equal(server.asked.length, 3);
  await using anonymous = await serving(parent, null);
  assert.equal(await anonymous.registry.tags('a', signal), undefined);
  assert.deepEqual(anonymous.asked, [FIRST]);
});

test('what is missing costs one request once the login is used', async () => {
  await using server = await serving(() => ({ status: 404, body: UNKNOWN }));
  for (const _ of [1, 2, 3]) assert.equal(await server.registry.tags('a', signal), undefined);
  assert.deepEqual(server.asked, [FIRST, `${FIRST} Basic`, `${FIRST} Basic`, `${FIRST} Basic`]);
});

test('a path that only a Terrace has is no reason to send the login', async () => {
  await using server = await serving(() => ({ status: 404 }));
  const answer = await server.link.request('/v2/_terrace/changes', { scope: 'registry:catalog:*', signal });
  assert.equal(answer.statusCode, 404);
  assert.deepEqual(server.asked, ['GET /v2/_terrace/changes']);
});

test('the login is not sent to another host, although that one refuses', async () => {
  for (const status of [401, 403, 404]) {
    await using other = await serving(() => ({ status }));
    await using server = await serving(() => ({ status: 307, headers: { location: `${other.url}/blob` } }));
    const ask = { scope: 'repository:a:pull', signal, redirects: 'follow' as const };
    assert.equal((await server.link.request('/v2/a/blobs/x', ask)).statusCode, status);
    assert.deepEqual([server.asked, other.asked], [['GET /v2/a/blobs/x'], ['GET /blob']]);
  }
});

test('a token that is rejected without a challenge is renewed, but not at once after it was issued', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  let valid = 1;
  await using server = await serving(({ path, authorization }) => {
    if (path === '/token') return granting({ token: `t${valid}`, expires_in: 3_600 });
    if (authorization === `Bearer t${valid}`) return {};
    return authorization ? { status: 401 } : challenge(REALM);
  });
  assert.deepEqual(await server.registry.tags('a', signal), ['one']);
  valid = 2;
  t.mock.timers.tick(60_000);
  assert.deepEqual(await server.registry.tags('a', signal), ['one']);
  valid = 3;
  await assert.rejects(server.registry.tags('a', signal), { code: 'parent-refused' });
});
