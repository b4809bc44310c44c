import { equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { raw } from '../http.ts';
import { check, errorBody, type Row, rows } from '../rows.ts';

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const digest = sha256('nothing');
const long = 'x'.repeat(300);

rows(
  () => layer,
  [
    {
      send: ['GET', '/v2/'],
      status: 200,
      text: '{}',
      expectedHeaders: { 'content-type': /^application\/json/ },
    },
    { send: ['HEAD', '/v2/'], status: 200 },
    { send: ['GET', '/v2'], status: 200, text: '{}' },
    { send: ['GET', '/healthz'], status: 200 },
    { send: ['GET', '/'], status: 302, expectedHeaders: { location: 'ui/' } },
    { send: ['GET', '/v1/search'], status: 404 },
    { send: ['POST', '/v2/nothing/of/this'], body: 'x', status: 404 },
    { send: ['GET', '/v2/a/blobs'], status: 404 },
    { send: ['GET', '/v2/_terrace/a/tags/list'], status: 404 },
    { send: ['POST', '/v2/'], status: 405, code: 'UNSUPPORTED', expectedHeaders: { allow: 'GET, HEAD' } },
    { send: ['PUT', `/v2/a/blobs/${digest}`], status: 405, expectedHeaders: { allow: 'GET, HEAD, DELETE' } },
    { send: ['GET', '/v2/a/blobs/uploads/'], status: 405, expectedHeaders: { allow: 'POST' } },
    { send: ['DELETE', '/v2/a/tags/list'], status: 405 },
    { send: ['POST', '/v2/_catalog'], status: 405 },
    { send: ['PROPFIND', '/v2/'], status: 404 },
    { send: ['GET', '/v2/A/tags/list'], status: 400, code: 'NAME_INVALID' },
    { send: ['GET', '/v2/a%2Fb/tags/list'], status: 400, code: 'NAME_INVALID' },
    { send: ['GET', '/v2/a//b/tags/list'], status: 400, code: 'NAME_INVALID' },
    { send: ['GET', `/v2/${long}/tags/list`], status: 400, code: 'NAME_INVALID' },
    { send: ['GET', '/v2/%zz/manifests/%zz'], status: 400 },
    { send: ['GET', '/v2/a/blobs/%ff'], status: 400 },
    { send: ['GET', '/v2/a/blobs/sha256:abc'], status: 400, code: 'DIGEST_INVALID' },
    { send: ['HEAD', `/v2/a/blobs/sha1:${'0'.repeat(40)}`], status: 400 },
    {
      title: 'a path of 16 KB is answered 414',
      send: ['GET', `/v2/${'a/'.repeat(8_000)}tags/list`],
      status: 414,
    },
  ],
);

test('a repository name of 255 characters is accepted', async () => {
  const name = `${'a'.repeat(200)}/${'b'.repeat(54)}`;
  const { status } = await layer.fetch('POST', `/v2/${name}/blobs/uploads/`);
  equal(status, 202);
});

const writes: [string, string][] = [
  ['POST', '/v2/a/blobs/uploads/'],
  ['PATCH', '/v2/a/blobs/uploads/upload-x'],
  ['PUT', `/v2/a/blobs/uploads/upload-x?digest=${digest}`],
  ['DELETE', '/v2/a/blobs/uploads/upload-x'],
  ['DELETE', `/v2/a/blobs/${digest}`],
  ['PUT', '/v2/a/manifests/latest'],
  ['DELETE', '/v2/a/manifests/latest'],
];
for (const send of writes) {
  test(`${send[0]} ${send[1].slice(0, 50)} is refused in a ReadOnly layer`, async () => {
    layer.mode = 'ReadOnly';
    try {
      const row: Row = { send, ...(send[0] !== 'DELETE' && { body: 'x' }), status: 403, code: 'DENIED' };
      const response = await layer.fetch(...send);
      equal(
        await response.text(),
        '{"errors":[{"code":"DENIED","message":"This operation is not allowed on this registry."}]}',
      );
      await check(layer, row);
    } finally {
      layer.mode = 'ReadWrite';
    }
  });
}

test('a ReadOnly layer serves reads', async () => {
  layer.mode = 'ReadOnly';
  await check(layer, { send: ['GET', '/v2/_catalog'], status: 200 });
  layer.mode = 'ReadWrite';
});

test('a write to a layer without a configuration is answered 503 with Retry-After', async () => {
  layer.mode = undefined;
  await check(layer, {
    send: ['POST', '/v2/a/blobs/uploads/'],
    status: 503,
    expectedHeaders: { 'retry-after': '1' },
  });
  layer.mode = 'ReadWrite';
});

const raws: [title: string, request: string, status: number][] = [
  ['text that is not HTTP', 'hello\r\n\r\n', 400],
  ['a header of 200 KB', `GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(200_000)}\r\n\r\n`, 431],
  [
    'a body on a GET',
    'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody',
    200,
  ],
  ['an absolute URL', 'GET http://a:1/v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 200],
  ['HTTP/1.0', 'GET /v2/ HTTP/1.0\r\n\r\n', 200],
  [
    'a Content-Length that is not a number',
    'PUT /v2/a/manifests/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: a\r\n\r\n',
    400,
  ],
  [
    'an invalid media type',
    'PUT /v2/a/manifests/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: ;\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx',
    400,
  ],
  [
    'a digest given twice',
    `POST /v2/a/blobs/uploads/?digest=a&digest=b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    400,
  ],
];
for (const [title, request, status] of raws) {
  test(`${title} is answered ${status}`, async () => {
    const answer = await raw(layer.port, request);
    equal(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]), status, answer.slice(0, 200));
    if (status >= 400) errorBody(answer.slice(answer.indexOf('\r\n\r\n') + 4));
  });
}
