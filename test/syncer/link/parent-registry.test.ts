import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { ParentRegistry } from '../../../services/syncer/link/parent/parent-registry.ts';

const { signal } = new AbortController();

/** A registry of a few lines. */
async function serving(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const link = new ParentLink({ url, login: { username: 'layer', password: 'secret' } });
  return {
    url,
    parent: new ParentRegistry(link),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    },
  };
}

test('a list goes on at the parent, whatever host its next page names', async () => {
  await using registry = await serving(({ url }, response) => {
    if (!url?.includes('last=')) {
      response.setHeader('link', '<http://registry.internal:5000/v2/a/tags/list?last=one>; rel="next"');
    }
    response.end(JSON.stringify({ tags: [url?.includes('last=') ? 'two' : 'one'] }));
  });
  assert.deepEqual(await registry.parent.tags('a', signal), ['one', 'two']);
});

test('a list whose pages lead in a circle is no list', async () => {
  await using registry = await serving((_, response) => {
    response.setHeader('link', '</v2/a/tags/list?last=one>; rel="next"');
    response.end('{"tags":["one"]}');
  });
  await assert.rejects(registry.parent.tags('a', signal), { code: 'parent-invalid' });
});

test('a token may be long, and one that is cut is asked for again', async () => {
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

test('requests that meet the same challenge ask for one token, and learn of one that failed together', async () => {
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

test('a realm that is out of reach is looked for at the parent itself, where it lies below /v2/', async () => {
  for (const [path, found] of [
    ['/v2/token', true],
    ['/token', false],
  ] as const) {
    const asked: string[] = [];
    await using registry = await serving(({ url, headers }, response) => {
      asked.push(url ?? '');
      if (url?.startsWith(path)) return response.end(JSON.stringify({ token: 'good', expires_in: 300 }));
      if (headers.authorization === 'Bearer good') return response.end('{"tags":["one"]}');
      const challenge = `Bearer realm="http://127.0.0.1:1${path}",service="r"`;
      return response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    const tags = registry.parent.tags('a', signal);
    if (found) assert.deepEqual(await tags, ['one']);
    else await assert.rejects(tags, { code: 'parent-unreachable' });
    const token = '/v2/token?service=r&scope=repository%3Aa%3Apull';
    assert.deepEqual(
      asked.filter((url) => url.includes('token')),
      found ? [token] : [],
    );
  }
});

test('a host that the parent redirects to is not asked for tokens', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const asked: string[] = [];
  await using other = await serving(({ url }, response) => {
    asked.push(url ?? '');
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${other.url}/token"` }).end();
  });
  await using registry = await serving((_, response) => {
    response.writeHead(307, { location: `${other.url}/blob` }).end();
  });
  const blob = registry.parent.blob('a', digest, 10, { start: 0, end: 10 }, signal);
  await assert.rejects(blob, { code: 'parent-unreachable', detail: { status: 401 } });
  assert.deepEqual(asked, ['/blob', '/blob']);
});

test('a request that is ended does not wait for a token that does not come', async () => {
  const end = new AbortController();
  await using registry = await serving(({ url }, response) => {
    if (url?.startsWith('/token')) end.abort(new Error('ended'));
    else response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
  });
  await assert.rejects(registry.parent.tags('a', end.signal), /^Error: ended$/);
});

test('a parent whose token service grants no catalog is there all the same', async () => {
  await using registry = await serving(({ url }, response) => {
    if (url?.startsWith('/token')) response.writeHead(403).end();
    else response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
  });
  await registry.parent.ping(signal);
});

test('what a host of blobs refuses is asked of the registry again, and is no word of the parent', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  for (const status of [400, 401, 403, 404, 410]) {
    let asked = 0;
    await using blobs = await serving((_, response) =>
      response.writeHead(status).end('<Error>expired</Error>'),
    );
    await using registry = await serving((_, response) => {
      asked += 1;
      response.writeHead(307, { location: `${blobs.url}/blob?signature=1` }).end();
    });
    const blob = registry.parent.blob('a', digest, 10, { start: 0, end: 10 }, signal);
    await assert.rejects(blob, { code: 'parent-unreachable' });
    assert.equal(asked, 2);
  }
});

test('what the parent itself refuses is not asked for again', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  let asked = 0;
  await using registry = await serving((_, response) => {
    asked += 1;
    response.writeHead(asked === 1 ? 404 : 403).end();
  });
  const blob = () => registry.parent.blob('a', digest, 10, { start: 0, end: 10 }, signal);
  await assert.rejects(blob(), { code: 'blob-unknown' });
  await assert.rejects(blob(), { code: 'parent-refused', detail: { status: 403 } });
  assert.equal(asked, 2);
});

test('a child that the parent left out of a sparse index says for which platform it is', async () => {
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
