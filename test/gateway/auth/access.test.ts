import { deepEqual, equal, match } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { accountsStatus, getAccount } from '#proto/accounts/accounts.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { Bearer } from '../../../services/gateway/auth/bearer.ts';
import { configurationWith } from '../../support/configuration.ts';
import { ALL, basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { check } from '../rows.ts';

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

let tokens: Tokens;
let admin: Record<string, string>;
const blob = sha256('{}');
const read = `/v2/a/x/blobs/${blob}`;
const unauthorized = { status: 401, code: 'UNAUTHORIZED' };

before(async () => {
  tokens = await Tokens.of(layer);
  await layer.blob('a/x', '{}');
  await layer.blob('open/x', '{}');
});

test('a layer without a token allows everything; with its first token, it admits nobody without one', async () => {
  await check(layer, { send: ['GET', '/v2/'], status: 200 });
  await check(layer, { send: ['GET', read], status: 200 });
  await check(layer, { send: ['GET', read], headers: basic('who', 'ever'), status: 200 });
  await check(layer, { send: ['GET', read], headers: bearer('what.ever.it'), status: 200 });
  const anonymousToken = await tokenFor(layer, {}, 'repository:a/x:pull');
  admin = basic('admin', await tokens.create('admin', on('*', ...ALL)));
  await check(layer, { send: ['GET', '/v2/'], ...unauthorized });
  await check(layer, { send: ['GET', read], ...unauthorized });
  await check(layer, { send: ['GET', read], headers: bearer(anonymousToken), ...unauthorized });
  await check(layer, { send: ['GET', read], headers: admin, status: 200 });
  await check(layer, { send: ['GET', '/healthz'], status: 200 });
});

const realm = () => `Bearer realm="${layer.url}/v2/token",service="127.0.0.1:${layer.port}"`;
const challenges: [method: string, path: string, scope: string][] = [
  ['GET', '/v2/', ''],
  ['GET', '/v2/_catalog', 'registry:catalog:*'],
  ['GET', read, 'repository:a/x:pull'],
  ['HEAD', '/v2/a/x/manifests/v1', 'repository:a/x:pull'],
  ['GET', '/v2/a/x/tags/list', 'repository:a/x:pull'],
  ['GET', `/v2/none/referrers/${blob}`, 'repository:none:pull'],
  ['POST', '/v2/a/x/blobs/uploads/', 'repository:a/x:pull,push'],
  ['PUT', '/v2/a/x/manifests/v1', 'repository:a/x:pull,push'],
  ['DELETE', read, 'repository:a/x:delete'],
];
for (const [method, path, scope] of challenges) {
  test(`${method} ${path.slice(0, 40)} without credentials is challenged for ${scope || 'no scope'}`, async () => {
    const challenge = scope ? `${realm()},scope="${scope}"` : realm();
    await check(layer, {
      send: [method, path],
      ...unauthorized,
      expectedHeaders: { 'www-authenticate': challenge },
    });
  });
}

test('the challenge has the host and the protocol by which the client addressed the registry', async () => {
  const headers = { 'x-forwarded-host': 'Registry.example:8443', 'x-forwarded-proto': 'https' };
  const challenge = 'Bearer realm="https://registry.example:8443/v2/token",service="registry.example:8443"';
  await check(layer, {
    send: ['GET', '/v2/'],
    headers,
    ...unauthorized,
    expectedHeaders: { 'www-authenticate': challenge },
  });
});

test('a Basic challenge is sent if it is configured, and Bearer tokens stay valid', async () => {
  layer.configuration = configurationWith({ challenge: 'Basic' });
  const expectedHeaders = { 'www-authenticate': `Basic realm="127.0.0.1:${layer.port}", charset="UTF-8"` };
  await check(layer, { send: ['GET', '/v2/'], ...unauthorized, expectedHeaders });
  const token = await tokenFor(layer, admin, 'repository:a/x:pull');
  await check(layer, { send: ['GET', read], headers: bearer(token), status: 200 });
  layer.configuration = undefined;
});

for (const [title, authorization] of [
  ['a name without a password', `Basic ${Buffer.from('admin').toString('base64')}`],
  ['an empty name', `Basic ${Buffer.from(':').toString('base64')}`],
  ['text that is not base64', 'Basic ====='],
  ['a header without a value', 'Basic '],
  ['an unsupported scheme', 'Digest username="admin"'],
  ['an invalid token name', basic('a/b\n', 'x').authorization],
  ['a password of 20,000 characters', basic('admin', 'x'.repeat(20_000)).authorization],
]) {
  test(`${title} is not accepted as credentials`, async () => {
    const headers = { authorization: authorization as string, 'x-forwarded-for': '192.0.2.77' };
    await check(layer, { send: ['GET', read], headers, ...unauthorized });
  });
}

test('a Bearer token is valid only unchanged, unexpired, signed by this layer and for a current password', async () => {
  const { key } = await layer.bus.call(accountsStatus, {});
  const account = (await layer.bus.call(getAccount, { name: 'admin' })).account;
  const secret = Buffer.from(key, 'base64url');
  const good = await tokenFor(layer, admin, 'repository:a/x:pull');
  const [head, payload, signature] = good.split('.') as [string, string, string];
  const { print: fingerprint } = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const access = [{ type: 'repository', name: 'a/x', actions: ['pull'] }];
  const claims = { name: 'admin', fingerprint, access };
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  const wider = Buffer.from(payload, 'base64url').toString().replace('pull', 'push');
  equal(account?.name, 'admin');
  const bad: [string, string][] = [
    ['another key', await new Bearer().issue(randomBytes(32), claims)],
    ['a past expiry', await new Bearer().issue(secret, claims, Date.now() - 601_000)],
    ['another payload', `${head}.${Buffer.from(wider).toString('base64url')}.${signature}`],
    ['no algorithm', `${none}.${payload}.`],
    ['a signature that is cut off', good.slice(0, -3)],
    ['no text', ''],
    ['70,000 characters', 'x'.repeat(70_000)],
    ['an unknown name', await new Bearer().issue(secret, { ...claims, name: 'nobody' })],
    ['another password', await new Bearer().issue(secret, { ...claims, fingerprint: 'x' })],
    ['no access', await new Bearer().issue(secret, { ...claims, access: undefined as never })],
  ];
  const expectedHeaders = {
    'www-authenticate': `${realm()},scope="repository:a/x:pull",error="invalid_token"`,
  };
  for (const [defect, token] of bad) {
    const title = `a token with ${defect}`;
    await check(layer, {
      title,
      send: ['GET', read],
      headers: bearer(token),
      ...unauthorized,
      expectedHeaders,
    });
  }
  await check(layer, { send: ['GET', read], headers: bearer(good), status: 200 });
  const same = await new Bearer().issue(secret, claims);
  await check(layer, { send: ['GET', read], headers: bearer(same), status: 200 });
});

test('a cached Bearer token is refused once it has expired, and with another key', async () => {
  const bearers = new Bearer();
  const key = randomBytes(32);
  const now = Date.now();
  const token = await bearers.issue(key, { name: 'a', fingerprint: 'p', access: [] }, now);
  equal((await bearers.verify(key, token, now))?.name, 'a');
  equal((await bearers.verify(key, token, now + 590_000))?.name, 'a');
  equal(await bearers.verify(key, token, now + 601_000), undefined);
  equal((await bearers.verify(Buffer.from(key), token, now))?.name, 'a');
  const year = 365 * 24 * 3_600_000;
  for (const one of [bearers, new Bearer()]) {
    equal(await one.verify(key, token, now - 56 * year), undefined, 'the clock was set back');
    equal((await one.verify(key, token, now - 30_000))?.name, 'a', 'the clock was corrected');
  }
  equal(await bearers.verify(randomBytes(32), token, now), undefined);
});

test('a Bearer token without the needed scope is challenged; an action that its account lacks is denied', async () => {
  const writer = basic('writer', await tokens.create('writer', on('a/x', 'content/read', 'content/write')));
  const pull = bearer(await tokenFor(layer, writer, 'repository:a/x:pull'));
  await check(layer, { send: ['GET', read], headers: pull, status: 200 });
  const challenge = `${realm()},scope="repository:a/x:pull,push",error="insufficient_scope"`;
  const start: [string, string] = ['POST', '/v2/a/x/blobs/uploads/'];
  await check(layer, {
    send: start,
    headers: pull,
    ...unauthorized,
    expectedHeaders: { 'www-authenticate': challenge },
  });
  const push = bearer(await tokenFor(layer, writer, 'repository:a/x:pull,push'));
  await check(layer, { send: start, headers: push, status: 202 });
  const all = bearer(await tokenFor(layer, writer, 'repository:a/x:*'));
  await check(layer, { send: ['DELETE', read], headers: all, status: 403, code: 'DENIED' });
  await check(layer, { send: ['GET', '/v2/'], headers: pull, status: 200 });
  const catalog = `${realm()},scope="registry:catalog:*",error="insufficient_scope"`;
  const expectedHeaders = { 'www-authenticate': catalog };
  await check(layer, { send: ['GET', '/v2/_catalog'], headers: pull, ...unauthorized, expectedHeaders });
});

test('a changed scope map applies at once, also to Bearer tokens issued before', async () => {
  const headers = basic('changing', await tokens.create('changing', on('a/x', 'content/read')));
  const bearerHeaders = bearer(await tokenFor(layer, headers, 'repository:*:*'));
  for (const each of [headers, bearerHeaders])
    await check(layer, { send: ['GET', read], headers: each, status: 200 });
  await tokens.scope('changing', on('a/x', 'content/delete'));
  for (const each of [headers, bearerHeaders])
    await check(layer, { send: ['GET', read], headers: each, status: 403 });
  await tokens.scope('changing', on('b/x', 'content/read'));
  for (const each of [headers, bearerHeaders])
    await check(layer, { send: ['GET', read], headers: each, status: 404 });
});

test('a token is refused at once when it is disabled or deleted, and admitted again when it is enabled', async () => {
  const headers = basic('ending', await tokens.create('ending', on('a/x', 'content/read')));
  const bearerHeaders = bearer(await tokenFor(layer, headers, 'repository:a/x:pull'));
  for (const each of [headers, bearerHeaders])
    await check(layer, { send: ['GET', read], headers: each, status: 200 });
  await tokens.enable('ending', false);
  for (const each of [headers, bearerHeaders])
    await check(layer, { send: ['GET', read], headers: each, ...unauthorized });
  await tokens.enable('ending', true);
  for (const each of [headers, bearerHeaders])
    await check(layer, { send: ['GET', read], headers: each, status: 200 });
  await tokens.delete('ending');
  for (const each of [headers, bearerHeaders])
    await check(layer, { send: ['GET', read], headers: each, ...unauthorized });
});

test('rotation ends the old password and its Bearer tokens at once, and leaves the other password valid', async () => {
  const old = basic('rotating', await tokens.create('rotating', on('a/x', 'content/read')));
  const second = basic('rotating', await tokens.rotateSecond('rotating'));
  const byOld = bearer(await tokenFor(layer, old, 'repository:a/x:pull'));
  const bySecond = bearer(await tokenFor(layer, second, 'repository:a/x:pull'));
  for (const headers of [old, second, byOld, bySecond]) {
    await check(layer, { send: ['GET', read], headers, status: 200 });
  }
  const rotated = basic('rotating', await tokens.rotate('rotating'));
  for (const headers of [old, byOld]) await check(layer, { send: ['GET', read], headers, ...unauthorized });
  for (const headers of [rotated, second, bySecond]) {
    await check(layer, { send: ['GET', read], headers, status: 200 });
  }
});

test('an expired password is refused, and so are its Bearer tokens', async () => {
  const scope = 'repository:a/x:pull';
  const { headers, bearerHeaders, expired } = await tokens.expiring(
    'expiring',
    on('a/x', 'content/read'),
    scope,
  );
  await expired();
  for (const each of [headers, bearerHeaders]) {
    const response = await check(layer, { send: ['HEAD', read], headers: each, ...unauthorized });
    match(response.headers.get('www-authenticate') ?? '', /^Bearer /);
  }
});

test('anonymous callers pull from the repositories of anonymousPull, and nothing else', async () => {
  const pull = `/v2/open/x/blobs/${blob}`;
  const own = basic('other', await tokens.create('other', on('a/x', 'content/read')));
  await check(layer, { send: ['GET', pull], headers: own, status: 404 });
  equal((await layer.fetch('GET', '/v2/token?scope=repository:open/x:pull')).status, 401);

  layer.configuration = configurationWith({ anonymousPull: ['open/*'] });
  await check(layer, { send: ['GET', pull], status: 200 });
  await check(layer, { send: ['GET', '/v2/open/x/manifests/none'], status: 404, code: 'MANIFEST_UNKNOWN' });
  await check(layer, { send: ['GET', '/v2/open/none/tags/list'], status: 404, code: 'NAME_UNKNOWN' });
  await check(layer, { send: ['POST', '/v2/open/x/blobs/uploads/'], ...unauthorized });
  await check(layer, { send: ['DELETE', pull], ...unauthorized });
  await check(layer, { send: ['GET', read], ...unauthorized });
  await check(layer, { send: ['GET', '/v2/'], ...unauthorized });
  // An account has the rights of anonymous callers, too.
  await check(layer, { send: ['GET', pull], headers: own, status: 200 });
  await check(layer, { send: ['GET', pull], headers: basic('other', 'wrong'), ...unauthorized });

  const scopes = ['repository:open/x:pull,push', 'repository:a/x:pull', 'registry:catalog:*'];
  const anonymous = bearer(await tokenFor(layer, {}, ...scopes));
  await check(layer, { send: ['GET', pull], headers: anonymous, status: 200 });
  await check(layer, { send: ['GET', '/v2/'], headers: anonymous, status: 200 });
  await check(layer, { send: ['GET', read], headers: anonymous, ...unauthorized });
  await check(layer, { send: ['POST', '/v2/open/x/blobs/uploads/'], headers: anonymous, ...unauthorized });
  await check(layer, {
    send: ['GET', '/v2/_catalog'],
    headers: anonymous,
    status: 200,
    text: '{"repositories":["open/x"]}',
  });

  layer.configuration = configurationWith({});
  await check(layer, { send: ['GET', pull], ...unauthorized });
  await check(layer, { send: ['GET', pull], headers: anonymous, ...unauthorized });
  await check(layer, { send: ['GET', pull], headers: own, status: 404 });
  layer.configuration = undefined;
});

test('repeated requests of a client do not request its account from storage again', async () => {
  const put = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] });
  const type = { 'content-type': mediaTypes.ociIndex };
  await check(layer, {
    send: ['PUT', '/v2/a/x/manifests/hot'],
    headers: { ...admin, ...type },
    body: put,
    status: 201,
  });
  const bearerHeaders = bearer(await tokenFor(layer, admin, 'repository:a/x:pull'));
  const requests: string[] = [];
  const call = layer.bus.call;
  layer.bus.call = ((contract: { subject: string }, ...rest: never[]) => {
    requests.push(contract.subject);
    return (call as (...all: unknown[]) => unknown).call(layer.bus, contract, ...rest);
  }) as typeof call;
  try {
    for (let i = 0; i < 20; i += 1) {
      for (const headers of [admin, bearerHeaders]) {
        await check(layer, { send: ['GET', '/v2/a/x/manifests/hot'], headers, status: 200 });
      }
    }
  } finally {
    layer.bus.call = call;
  }
  // At most once each, as a cache entry may just have expired.
  const accountRequests = requests.filter((subject) => subject.startsWith('storage.account.'));
  deepEqual(
    [accountRequests.length <= 2, new Set(accountRequests).size],
    [true, accountRequests.length],
    accountRequests.join(' '),
  );
});

test('without storage, logins are answered 503 and not counted as failures; with it, they succeed again', async () => {
  await using outage = await GatewayRig.start({ patienceMs: 100 }, { apart: true });
  const password = await (await Tokens.of(outage)).create('one', on('a/x', 'content/read'));
  await outage.storageDown();
  for (let i = 0; i < 8; i += 1) {
    // None of these attempts counts as a failure.
    await check(outage, {
      send: ['GET', read],
      headers: basic('one', 'x'),
      status: 503,
      expectedHeaders: { 'retry-after': '1' },
    });
  }
  await outage.storageUp();
  await check(outage, { send: ['GET', '/v2/'], headers: basic('one', password), status: 200 });
});
