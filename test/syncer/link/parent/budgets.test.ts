import assert from 'node:assert/strict';
import type { RequestListener, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { parentPages } from '../../../../services/syncer/link/http/pages.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ParentCredentials } from '../../../../services/syncer/link/login/credentials.ts';
import { AcrMetadata } from '../../../../services/syncer/link/parent/acr-metadata.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { serveHttp } from '../../../support/http-server.ts';

/** Answers of a parent are bounded: in bytes, values, depth, entries and pages. */
const { signal } = new AbortController();

async function serving(listener: RequestListener) {
  const server = await serveHttp(listener);
  const link = new ParentLink({ url: server.url, login: { username: 'layer', password: 'secret' } });
  return {
    link,
    parent: new ParentRegistry(link),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const tagList = (tags: string[]) => JSON.stringify({ name: 'a', tags });

test('a list may have 130,000 tags on one page', async () => {
  const tags = Array.from({ length: 130_000 }, (_, at) => `v1.${at}`);
  await using registry = await serving((_, response) => void response.end(tagList(tags)));
  assert.deepEqual(await registry.parent.tags('a', signal), tags);
});

test('a list with too many pages or entries, or that takes too long, is refused', async () => {
  let page = 0;
  await using registry = await serving((_, response) => {
    page += 1;
    response.setHeader('link', `</v2/a/tags/list?last=${page}>; rel="next"`);
    response.end(tagList([`v${page}`, `w${page}`]));
  });
  const list = (limits: Parameters<typeof parentPages>[4]) =>
    Array.fromAsync(parentPages(registry.link, '/v2/a/tags/list', 'repository:a:pull', signal, limits));
  await assert.rejects(list({ parentPages: 5 }), {
    code: 'parent-invalid',
    message: /list has more than 5 pages/,
  });
  assert.equal(page, 5);
  await assert.rejects(list({ entries: 9 }), { code: 'parent-invalid', message: /more than 9 entries/ });
  assert.equal(page, 10);
  await assert.rejects(list({ ms: 0 }), { code: 'parent-invalid', message: /did not end within/ });
});

test('a list that would take many times the memory of its text is refused before it is parsed', async () => {
  let body = '';
  await using registry = await serving((_, response) => void response.end(body));
  const rows: [string, RegExp][] = [
    [`{"tags":${'['.repeat(8 * 1024 * 1024)}`, /nested more than 64 deep/],
    [`{"tags":[${'{},'.repeat(2 * 1024 * 1024)}{}]}`, /more than 1000000 values/],
    [tagList(Array.from({ length: 250_001 }, (_, at) => `v${at}`)), /more than 250000 entries/],
    [tagList(['v1']).padEnd(17 * 1024 * 1024), /larger than 16777216 bytes/],
  ];
  for (const [text, message] of rows) {
    body = text;
    await assert.rejects(registry.parent.tags('a', signal), { code: 'parent-invalid', message });
  }
});

test('only the beginning of an error body is read', async () => {
  const closed = Promise.withResolvers<void>();
  const endless = (response: ServerResponse) => {
    response.once('close', closed.resolve);
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(16_384)));
      response.once('drain', more);
    };
    more();
  };
  await using registry = await serving((_, response) => endless(response.writeHead(403)));
  await assert.rejects(registry.parent.tags('a', signal), { code: 'parent-refused' });
  await closed.promise;
});

test('entries of an Azure Container Registry with an oversized field are left out or refused', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const times = ['2030-01-01T00:00:00.1234567Z', '2'.repeat(1_000_000)];
  await using registry = await serving(({ url }, response) => {
    const tags = times.map((time, at) => ({ name: `v${at}`, digest, lastUpdateTime: time }));
    const manifests = times.map((time) => ({ digest, createdTime: time, lastUpdateTime: time }));
    const list = url?.includes('_tags') ? { tags } : url?.includes('_manifests') ? { manifests } : undefined;
    response.end(JSON.stringify(list ?? { lastUpdateTime: times[1], manifestCount: 1, tagCount: 1 }));
  });
  const acr = new AcrMetadata(registry.link);
  const tags = await Array.fromAsync(acr.tags('a', true, signal));
  assert.deepEqual(tags, [{ tag: 'v0', digest, updated: times[0] }]);
  assert.equal((await Array.fromAsync(acr.manifests('a', true, signal))).length, 1);
  await assert.rejects(acr.lastChange('a', 'scope', signal), {
    code: 'parent-invalid',
    message: /lastUpdateTime/,
  });
});

test('a token is accepted only if a header can carry it', async () => {
  let answer: unknown;
  await using registry = await serving(({ url, headers }, response) => {
    if (url?.startsWith('/token')) return void response.end(JSON.stringify(answer));
    if (headers.authorization === 'Bearer good') return void response.end(tagList(['one']));
    response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
  });
  for (const token of ['x'.repeat(40_000), 'a\r\nb: c', '', 7, null]) {
    answer = { token };
    await assert.rejects(registry.parent.tags('a', signal), {
      code: 'parent-invalid',
      message: /no token in/,
    });
  }
  answer = { token: 'good', expires_in: 1e300 };
  assert.deepEqual(await registry.parent.tags('a', signal), ['one']);
});

test('tokens are cached for 1,000 repositories, and requested again beyond that', async () => {
  const requests: string[] = [];
  const ask = async (url: URL) => {
    requests.push(url.searchParams.get('scope') ?? '');
    return { token: 't', expiresIn: 300 };
  };
  const credentials = new ParentCredentials(new URL('https://parent.example'), undefined, ask);
  await credentials.challenged(
    'Bearer realm="https://parent.example/token"',
    'repository:r0:pull',
    undefined,
  );
  for (let at = 0; at < 1_001; at += 1) await credentials.header(`repository:r${at}:pull`);
  assert.equal(requests.length, 1_001);
  await credentials.header('repository:r1000:pull');
  assert.equal(requests.length, 1_001);
  await credentials.header('repository:r0:pull');
  assert.equal(requests.length, 1_002);
});

test('a requested wait beyond all numbers is read as a safe integer', async () => {
  await using registry = await serving((_, response) => {
    response.writeHead(503, { 'retry-after': '9'.repeat(400) }).end();
  });
  await assert.rejects(registry.parent.tags('a', signal), (error: { detail?: Record<string, unknown> }) =>
    Number.isSafeInteger(error.detail?.retryAfterMs),
  );
});
