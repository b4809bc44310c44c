import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { sent } from '../../../services/syncer/link/http/sending.ts';
import { PushClient } from '../../../services/syncer/link/parent/push-client.ts';

const { signal } = new AbortController();
const digest = `sha256:${'a'.repeat(64)}`;
const other = `sha256:${'b'.repeat(64)}`;

type Asked = { method: string; url: string; headers: IncomingMessage['headers']; body: string };

/** A registry of a few lines that remembers what it was asked. */
async function serving(answer: (asked: Asked, response: ServerResponse, nth: number) => void) {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const { method = '', url = '', headers } = request;
    asked.push({ method, url, headers, body });
    answer({ method, url, headers, body }, response, asked.length);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const link = new ParentLink({ url });
  return {
    url,
    asked,
    upward: new PushClient(link),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    },
  };
}

const bytes = sent(Buffer.from('0123456789'));
const at = (offset: number, location = '/v2/a/blobs/uploads/1?_state=x') => ({ location, offset });

test('an upload goes on at the parent, whatever host it names, with what it says of itself', async () => {
  await using registry = await serving(({ method }, response) => {
    const location = `http://registry.internal:5000/v2/a/blobs/uploads/1?_state=${method}`;
    const range = method === 'PATCH' ? { range: '0-9' } : {};
    response.writeHead(method === 'PUT' ? 201 : 202, { location, ...range }).end();
  });
  const { upward, asked } = registry;
  const begun = await upward.begin('a', digest, signal);
  assert.deepEqual(begun, at(0, '/v2/a/blobs/uploads/1?_state=POST'));
  const next = await upward.append('a', begun, bytes, signal);
  assert.deepEqual(next, at(10, '/v2/a/blobs/uploads/1?_state=PATCH'));
  await upward.finish('a', digest, next, bytes, signal);
  assert.deepEqual(
    asked.map(({ method, headers }) => [method, headers['content-range'], headers['content-length']]),
    [
      ['POST', undefined, '0'],
      ['PATCH', '0-9', '10'],
      ['PUT', '10-19', '10'],
    ],
  );
  const put = new URL(asked[2]!.url, 'http://x').searchParams;
  assert.deepEqual([put.get('_state'), put.get('digest')], ['PATCH', digest]);
});

test('where an upload ends, the parent says; 0-0 is nothing', async () => {
  const ranges = ['0-0', '0-4', undefined];
  await using registry = await serving((_, response, nth) => {
    const range = ranges[nth - 1];
    response.writeHead(204, { location: '/v2/a/blobs/uploads/1', ...(range && { range }) }).end();
  });
  for (const offset of [0, 5, 0]) {
    assert.equal((await registry.upward.offset('a', '/v2/a/blobs/uploads/1', signal))?.offset, offset);
  }
});

test('a session that the parent does not know any more is none', async () => {
  await using registry = await serving((_, response) => response.writeHead(404).end());
  assert.equal(await registry.upward.offset('a', '/v2/a/blobs/uploads/1', signal), undefined);
  await assert.rejects(registry.upward.append('a', at(5), bytes, signal), { code: 'upload-unknown' });
  await assert.rejects(registry.upward.finish('a', digest, at(5), bytes, signal), { code: 'upload-unknown' });
});

test('a repository that is not there for this account is a refusal, not a lost session', async () => {
  await using registry = await serving((_, response) =>
    response.writeHead(404).end('{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}'),
  );
  await assert.rejects(registry.upward.append('a', at(5), bytes, signal), {
    code: 'parent-refused',
    detail: { status: 404, reason: 'NAME_UNKNOWN' },
  });
});

test('a piece that does not begin where the upload ends: the parent is asked where that is', async () => {
  await using registry = await serving(({ method }, response) => {
    const headers = { location: '/v2/a/blobs/uploads/1', range: '0-2' };
    response.writeHead(method === 'PATCH' ? 416 : 204, headers).end();
  });
  assert.equal((await registry.upward.append('a', at(5), bytes, signal)).offset, 3);
});

test('a mount asks for both repositories in one scope, and an upload may come of it', async () => {
  await using registry = await serving(({ url }, response) => {
    if (url.includes('from=yes')) response.writeHead(201).end();
    else response.writeHead(202, { location: '/v2/a/blobs/uploads/1' }).end();
  });
  assert.equal(await registry.upward.mount('a', digest, 'yes', signal), 'mounted');
  assert.deepEqual(await registry.upward.mount('a', digest, 'no', signal), at(0, '/v2/a/blobs/uploads/1'));
});

test('a manifest goes under a tag only where that points to what is expected', async () => {
  await using registry = await serving(({ headers }, response) => {
    if (headers['if-match'] === `"${other}"`) response.writeHead(412).end();
    else response.writeHead(201, { 'oci-subject': digest }).end();
  });
  const { upward, asked } = registry;
  const manifest = { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes: Buffer.from('{}') };
  assert.deepEqual(await upward.putManifest('a', 'v1', manifest, signal, { expect: undefined }), {
    subject: true,
  });
  await assert.rejects(upward.putManifest('a', 'v1', manifest, signal, { expect: other }), {
    code: 'conflict',
  });
  assert.equal(asked[0]?.headers['if-none-match'], '*');
});

test('a tag whose answer was lost is looked at before it is put again: what others put meanwhile stays', async () => {
  await using registry = await serving(({ method }, response) => {
    if (method === 'PUT') response.destroy();
    else response.writeHead(200, { 'docker-content-digest': other }).end();
  });
  const manifest = { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes: Buffer.from('{}') };
  await assert.rejects(registry.upward.putManifest('a', 'v1', manifest, signal, { expect: digest }), {
    code: 'conflict',
  });
  assert.deepEqual(
    registry.asked.map(({ method }) => method),
    ['PUT', 'HEAD'],
  );
});

test('a blob whose place is signed for another method is there', async () => {
  await using elsewhere = await serving((_, response) => response.writeHead(403).end());
  await using registry = await serving(({ url }, response) => {
    if (url.includes(other)) response.writeHead(404).end();
    else response.writeHead(307, { location: `${elsewhere.url}/blob` }).end();
  });
  assert.equal(await registry.upward.hasBlob('a', digest, signal), true);
  assert.equal(await registry.upward.hasBlob('a', other, signal), false);
});

test('a registry that leads to another name of its own is not taken for one that has a blob', async () => {
  await using registry = await serving(({ url }, response) =>
    response.writeHead(301, { location: `https://registry.example${url}` }).end(),
  );
  await assert.rejects(registry.upward.hasBlob('a', digest, signal), {
    code: 'parent-invalid',
    message: /redirects to https:\/\/registry\.example, .* set parent\.url to it/,
  });
});

test('what is not there is deleted, and a tag that can not be deleted by its name is told', async () => {
  const statuses = [404, 405, 400, 202, 412];
  await using registry = await serving((_, response, nth) => response.writeHead(statuses[nth - 1]!).end());
  const { upward } = registry;
  await upward.deleteManifest('a', digest, signal);
  const expected = { expect: digest };
  assert.equal(await upward.deleteTag('a', 'v1', expected, signal), false);
  assert.equal(await upward.deleteTag('a', 'v1', expected, signal), false);
  assert.equal(await upward.deleteTag('a', 'v1', expected, signal), true);
  await assert.rejects(upward.deleteTag('a', 'v1', expected, signal), { code: 'conflict' });
});
