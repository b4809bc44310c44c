import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { bodyOf } from '../../../../services/syncer/link/http/sending.ts';
import { PushClient } from '../../../../services/syncer/link/parent/push-client.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const digest = `sha256:${'a'.repeat(64)}`;
const other = `sha256:${'b'.repeat(64)}`;

type ReceivedRequest = { method: string; url: string; headers: IncomingMessage['headers']; body: string };

/** A test registry that records its requests. */
async function serving(answer: (request: ReceivedRequest, response: ServerResponse, nth: number) => void) {
  const requests: ReceivedRequest[] = [];
  const server = await serveHttp(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const { method = '', url = '', headers } = request;
    requests.push({ method, url, headers, body });
    answer({ method, url, headers, body }, response, requests.length);
  });
  const { url } = server;
  const link = new ParentLink({ url });
  return {
    url,
    requests,
    pushClient: new PushClient(link),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const bytes = bodyOf(Buffer.from('0123456789'));
const at = (offset: number, location = '/v2/a/blobs/uploads/1?_state=x') => ({ location, offset });

test('an upload continues at the parent with the location that it answers, whatever host that names', async () => {
  await using registry = await serving(({ method }, response) => {
    const location = `http://registry.internal:5000/v2/a/blobs/uploads/1?_state=${method}`;
    const range = method === 'PATCH' ? { range: '0-9' } : {};
    response.writeHead(method === 'PUT' ? 201 : 202, { location, ...range }).end();
  });
  const { pushClient, requests } = registry;
  const begun = await pushClient.uploads.begin('a', digest, signal);
  assert.deepEqual(begun, at(0, '/v2/a/blobs/uploads/1?_state=POST'));
  const next = await pushClient.uploads.append('a', begun, bytes, signal);
  assert.deepEqual(next, at(10, '/v2/a/blobs/uploads/1?_state=PATCH'));
  await pushClient.uploads.finish('a', digest, next, bytes, signal);
  assert.deepEqual(
    requests.map(({ method, headers }) => [method, headers['content-range'], headers['content-length']]),
    [
      ['POST', undefined, '0'],
      ['PATCH', '0-9', '10'],
      ['PUT', '10-19', '10'],
    ],
  );
  const put = new URL(requests[2]!.url, 'http://x').searchParams;
  assert.deepEqual([put.get('_state'), put.get('digest')], ['PATCH', digest]);
});

test('the offset of an upload is read from the Range of the parent, where 0-0 means no bytes', async () => {
  const ranges = ['0-0', '0-4', undefined];
  await using registry = await serving((_, response, nth) => {
    const range = ranges[nth - 1];
    response.writeHead(204, { location: '/v2/a/blobs/uploads/1', ...(range && { range }) }).end();
  });
  for (const offset of [0, 5, 0]) {
    assert.equal(
      (await registry.pushClient.uploads.findSession('a', '/v2/a/blobs/uploads/1', signal))?.offset,
      offset,
    );
  }
});

test('a session that the parent no longer has is the fault upload-unknown', async () => {
  await using registry = await serving((_, response) => response.writeHead(404).end());
  assert.equal(
    await registry.pushClient.uploads.findSession('a', '/v2/a/blobs/uploads/1', signal),
    undefined,
  );
  await assert.rejects(registry.pushClient.uploads.append('a', at(5), bytes, signal), {
    code: 'upload-unknown',
  });
  await assert.rejects(registry.pushClient.uploads.finish('a', digest, at(5), bytes, signal), {
    code: 'upload-unknown',
  });
});

test('a repository that does not exist for this account is a refusal, not a lost session', async () => {
  await using registry = await serving((_, response) =>
    response.writeHead(404).end('{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}'),
  );
  await assert.rejects(registry.pushClient.uploads.append('a', at(5), bytes, signal), {
    code: 'parent-refused',
    detail: { status: 404, reason: 'NAME_UNKNOWN' },
  });
});

test('after a 416, the offset is read from the parent', async () => {
  await using registry = await serving(({ method }, response) => {
    const headers = { location: '/v2/a/blobs/uploads/1', range: '0-2' };
    response.writeHead(method === 'PATCH' ? 416 : 204, headers).end();
  });
  assert.equal((await registry.pushClient.uploads.append('a', at(5), bytes, signal)).offset, 3);
});

test('a mount links the blob from the other repository, or returns an upload session', async () => {
  await using registry = await serving(({ url }, response) => {
    if (url.includes('from=yes')) response.writeHead(201).end();
    else response.writeHead(202, { location: '/v2/a/blobs/uploads/1' }).end();
  });
  assert.equal(await registry.pushClient.uploads.mount('a', digest, 'yes', signal), 'mounted');
  assert.deepEqual(
    await registry.pushClient.uploads.mount('a', digest, 'no', signal),
    at(0, '/v2/a/blobs/uploads/1'),
  );
});

test('a manifest is put under a tag only if the tag points to the expected digest', async () => {
  await using registry = await serving(({ headers }, response) => {
    if (headers['if-match'] === `"${other}"`) response.writeHead(412).end();
    else response.writeHead(201, { 'oci-subject': digest }).end();
  });
  const { pushClient, requests } = registry;
  const manifest = { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes: Buffer.from('{}') };
  assert.deepEqual(await pushClient.putManifest('a', 'v1', manifest, signal, { expect: undefined }), {
    subject: true,
  });
  await assert.rejects(pushClient.putManifest('a', 'v1', manifest, signal, { expect: other }), {
    code: 'conflict',
  });
  assert.equal(requests[0]?.headers['if-none-match'], '*');
});

test('after a lost answer, the tag is checked before the retry, so that a change of others is kept', async () => {
  await using registry = await serving(({ method }, response) => {
    if (method === 'PUT') response.destroy();
    else response.writeHead(200, { 'docker-content-digest': other }).end();
  });
  const manifest = { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes: Buffer.from('{}') };
  await assert.rejects(registry.pushClient.putManifest('a', 'v1', manifest, signal, { expect: digest }), {
    code: 'conflict',
  });
  assert.deepEqual(
    registry.requests.map(({ method }) => method),
    ['PUT', 'HEAD'],
  );
});

test('a blob whose redirect target refuses HEAD exists', async () => {
  await using elsewhere = await serving((_, response) => response.writeHead(403).end());
  await using registry = await serving(({ url }, response) => {
    if (url.includes(other)) response.writeHead(404).end();
    else response.writeHead(307, { location: `${elsewhere.url}/blob` }).end();
  });
  assert.equal(await registry.pushClient.hasBlob('a', digest, signal), true);
  assert.equal(await registry.pushClient.hasBlob('a', other, signal), false);
});

test('a redirect to the same path on another host is refused, and does not mean that the blob exists', async () => {
  await using registry = await serving(({ url }, response) =>
    response.writeHead(301, { location: `https://registry.example${url}` }).end(),
  );
  await assert.rejects(registry.pushClient.hasBlob('a', digest, signal), {
    code: 'parent-invalid',
    message: /redirects to https:\/\/registry\.example, .* set parent\.url to it/,
  });
});

test('a missing manifest counts as deleted, and a tag that cannot be deleted by name is reported', async () => {
  const statuses = [404, 405, 400, 202, 412];
  await using registry = await serving((_, response, nth) => response.writeHead(statuses[nth - 1]!).end());
  const { pushClient } = registry;
  await pushClient.deleteManifest('a', digest, signal);
  const expected = { expect: digest };
  assert.equal(await pushClient.deleteTag('a', 'v1', expected, signal), false);
  assert.equal(await pushClient.deleteTag('a', 'v1', expected, signal), false);
  assert.equal(await pushClient.deleteTag('a', 'v1', expected, signal), true);
  await assert.rejects(pushClient.deleteTag('a', 'v1', expected, signal), { code: 'conflict' });
});
