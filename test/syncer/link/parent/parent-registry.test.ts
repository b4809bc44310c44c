import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const SIX_HOURS_MS = 6 * 60 * 60_000;

/** A test registry and a client for it. */
async function serving(listener: RequestListener, now?: () => number) {
  const server = await serveHttp(listener);
  const { url } = server;
  const login = { username: 'layer', password: 'secret' };
  const link = new ParentLink({ url, login, ...(now && { now }) });
  return {
    url,
    parent: new ParentRegistry(link),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('a list continues at the parent, whatever host its next page names', async () => {
  await using registry = await serving(({ url }, response) => {
    if (!url?.includes('last=')) {
      response.setHeader('link', '<http://registry.internal:5000/v2/a/tags/list?last=one>; rel="next"');
    }
    response.end(JSON.stringify({ tags: [url?.includes('last=') ? 'two' : 'one'] }));
  });
  assert.deepEqual(await registry.parent.tags('a', signal), ['one', 'two']);
});

test('a token may be long, and a token answer that was cut is requested again', async () => {
  const token = 'x'.repeat(6_000);
  let cuts = 0;
  await using registry = await serving(({ url, headers }, response) => {
    if (url?.startsWith('/token')) {
      const answer = JSON.stringify({ token, access_token: token });
      cuts += 1;
      if (cuts > 1) return response.end(answer);
      response.writeHead(200, { 'content-length': answer.length });
      return response.write(answer.slice(0, 100), () => response.destroy());
    }
    if (headers.authorization === `Bearer ${token}`) return response.end('{"tags":["one"]}');
    return response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
  });
  assert.deepEqual(await registry.parent.tags('a', signal), ['one']);
});

test('requests with the same challenge share one token request, and its failure', async () => {
  let tokens = 0;
  let failures = 0;
  let valid = '1';
  await using registry = await serving(async ({ url, headers }, response) => {
    if (url?.startsWith('/token')) {
      await sleep(50);
      if (failures > 0) {
        failures -= 1;
        return response.writeHead(403).end();
      }
      tokens += 1;
      valid = String(tokens);
      return response.end(JSON.stringify({ token: valid, expires_in: 300 }));
    }
    if (headers.authorization === `Bearer ${valid}`) return response.end('{"tags":["one"]}');
    return response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
  });
  const all = () => Promise.allSettled(Array.from({ length: 8 }, () => registry.parent.tags('a', signal)));
  const statuses = async () => [...new Set((await all()).map(({ status }) => status))];
  assert.deepEqual([await statuses(), tokens], [['fulfilled'], 1]);
  valid = 'revoked';
  assert.deepEqual([await statuses(), tokens], [['fulfilled'], 2]);
  valid = 'revoked';
  failures = 1;
  assert.deepEqual([await statuses(), tokens], [['rejected'], 2]);
  assert.deepEqual([await statuses(), tokens], [['fulfilled'], 3]);
});

test('an unreachable realm is requested from the parent itself, but only if it lies below /v2/', async () => {
  for (const [path, isFound] of [
    ['/v2/token', true],
    ['/token', false],
  ] as const) {
    const urls: string[] = [];
    await using registry = await serving(({ url, headers }, response) => {
      urls.push(url ?? '');
      if (url?.startsWith(path)) return response.end(JSON.stringify({ token: 'good', expires_in: 300 }));
      if (headers.authorization === 'Bearer good') return response.end('{"tags":["one"]}');
      const challenge = `Bearer realm="http://127.0.0.1:1${path}",service="r"`;
      return response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    const tags = registry.parent.tags('a', signal);
    if (isFound) assert.deepEqual(await tags, ['one']);
    else await assert.rejects(tags, { code: 'parent-unreachable' });
    const token = '/v2/token?service=r&scope=repository%3Aa%3Apull';
    assert.deepEqual(
      urls.filter((url) => url.includes('token')),
      isFound ? [token] : [],
    );
  }
});

test('no token is requested for a host that the parent redirects to', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const urls: string[] = [];
  await using other = await serving(({ url }, response) => {
    urls.push(url ?? '');
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${other.url}/token"` }).end();
  });
  await using registry = await serving((_, response) => {
    response.writeHead(307, { location: `${other.url}/blob` }).end();
  });
  const blob = registry.parent.blob('a', digest, 10, { start: 0, end: 10 }, signal);
  await assert.rejects(blob, { code: 'parent-unreachable', detail: { status: 401 } });
  assert.deepEqual(urls, ['/blob', '/blob']);
});

test('an aborted request does not wait for its token', async () => {
  const end = new AbortController();
  await using registry = await serving(({ url }, response) => {
    if (url?.startsWith('/token')) end.abort(new Error('aborted by the test'));
    else response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
  });
  await assert.rejects(registry.parent.tags('a', end.signal), /^Error: aborted by the test$/);
});

test('a parent whose token service denies the catalog counts as reachable', async () => {
  await using registry = await serving(({ url }, response) => {
    if (url?.startsWith('/token')) response.writeHead(403).end();
    else response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
  });
  await registry.parent.ping(signal);
});

test('a refusal by a blob host is retried at the registry, and does not count as one of the parent', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  for (const status of [400, 401, 403, 404, 410]) {
    let requests = 0;
    await using blobs = await serving((_, response) =>
      response.writeHead(status).end('<Error>expired</Error>'),
    );
    await using registry = await serving((_, response) => {
      requests += 1;
      response.writeHead(307, { location: `${blobs.url}/blob?signature=1` }).end();
    });
    const blob = registry.parent.blob('a', digest, 10, { start: 0, end: 10 }, signal);
    await assert.rejects(blob, { code: 'parent-unreachable' });
    assert.equal(requests, 2);
  }
});

test('a refusal by the parent itself is not retried', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  let requests = 0;
  await using registry = await serving(({ headers }, response) => {
    if (!headers.authorization) return response.writeHead(401, { 'www-authenticate': 'Basic' }).end();
    requests += 1;
    return response.writeHead(requests === 1 ? 404 : 403).end();
  });
  const blob = () => registry.parent.blob('a', digest, 10, { start: 0, end: 10 }, signal);
  await assert.rejects(blob(), { code: 'blob-unknown' });
  await assert.rejects(blob(), { code: 'parent-refused', detail: { status: 403 } });
  assert.equal(requests, 2);
});

test('the fault for a manifest that the parent left out of a sparse index names its platform', async () => {
  await using registry = await serving(({ url }, response) => {
    const detail = url?.endsWith('b') ? undefined : { leftOut: 'linux/arm64' };
    response.writeHead(404).end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', detail }] }));
  });
  const manifest = (letter: string) =>
    registry.parent.manifest('a', `sha256:${letter.repeat(64)}`, signal).catch((error) => error);
  const { code, detail } = await manifest('a');
  assert.deepEqual([code, detail], ['manifest-unknown', { leftOut: 'linux/arm64' }]);
  assert.equal((await manifest('b')).detail, undefined);
});

/** A parent with one manifest, whose digest it announces wrongly, or whose HEAD it does not know. */
async function upgraded(before: 'answers HEAD' | 'announces a wrong digest') {
  const clock = { now: 0 };
  const state = { isUpgraded: false, methods: [] as string[] };
  const content = '{"schemaVersion":2}';
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
  const wrong = `sha256:${'a'.repeat(64)}`;
  const registry = await serving(
    ({ method = '' }, response) => {
      state.methods.push(method);
      const isHead = method === 'HEAD';
      if (before === 'answers HEAD' && isHead && state.isUpgraded) return response.writeHead(404).end();
      const isWrong = before === 'announces a wrong digest' && isHead && !state.isUpgraded;
      response.setHeader('docker-content-digest', isWrong ? wrong : digest);
      return response.end(isHead ? undefined : content);
    },
    () => clock.now,
  );
  return { registry, state, clock, digest, wrong };
}

test('that a parent answers HEAD of manifests counts for six hours: then 404 to it is not believed alone', async () => {
  const { registry, state, clock, digest } = await upgraded('answers HEAD');
  await using _ = registry;
  assert.equal(await registry.parent.resolve('a', 'v1', signal), digest);
  state.isUpgraded = true;
  assert.equal(await registry.parent.resolve('a', 'v1', signal), undefined);
  clock.now += SIX_HOURS_MS;
  assert.equal(await registry.parent.resolve('a', 'v1', signal), digest);
});

test('where a parent announced a wrong digest, its digests are believed again after six hours', async () => {
  const { registry, state, clock, digest, wrong } = await upgraded('announces a wrong digest');
  await using _ = registry;
  assert.equal(await registry.parent.resolve('a', 'v1', signal), wrong);
  await assert.rejects(registry.parent.taggedManifest('a', 'v1', wrong, signal), { code: 'conflict' });
  state.isUpgraded = true;
  state.methods.length = 0;
  assert.equal(await registry.parent.resolve('a', 'v1', signal), digest);
  assert.deepEqual(state.methods, ['GET']);
  clock.now += SIX_HOURS_MS;
  assert.equal(await registry.parent.resolve('a', 'v1', signal), digest);
  assert.deepEqual(state.methods, ['GET', 'HEAD']);
});
