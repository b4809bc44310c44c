import { deepEqual, equal } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { patience, until } from '../../support/until.ts';
import { GatewayRig, sha256, sha512 } from '../gateway-rig.ts';
import { RawConnection } from '../http.ts';
import { openContent } from '../open-files.ts';
import { rows } from '../rows.ts';

const layer = await GatewayRig.start({ idleMs: patience(500) });
after(() => layer[Symbol.asyncDispose]());

const bytes = randomBytes(1_000_000);
const digest = await layer.blob('lib/app', bytes);
const path = `/v2/lib/app/blobs/${digest}`;
const empty = await layer.blob('lib/app', '');
const wide = sha512(bytes);
await layer.fetch('POST', `/v2/lib/app/blobs/uploads/?digest=${wide}`, { body: bytes });
const unknown = sha256('unknown');

const known = {
  'docker-content-digest': digest,
  etag: `"${digest}"`,
  'accept-ranges': 'bytes',
  'cache-control': /immutable/,
  'x-accel-buffering': /^no$/,
  'content-type': 'application/octet-stream',
};

rows(
  () => layer,
  [
    {
      send: ['GET', path],
      status: 200,
      expectedHeaders: { ...known, 'content-length': '1000000', 'content-range': null },
      text: bytes,
    },
    { send: ['HEAD', path], status: 200, expectedHeaders: { ...known, 'content-length': '1000000' } },
    { send: ['GET', `/v2/lib/app/blobs/${wide}`], status: 200, text: bytes },
    {
      send: ['GET', `/v2/lib/app/blobs/${empty}`],
      status: 200,
      expectedHeaders: { 'content-length': '0' },
      text: '',
    },
    { send: ['HEAD', `/v2/lib/app/blobs/${empty}`], status: 200, expectedHeaders: { 'content-length': '0' } },
    { send: ['GET', `/v2/lib/app/blobs/${unknown}`], status: 404, code: 'BLOB_UNKNOWN' },
    { send: ['HEAD', `/v2/lib/app/blobs/${unknown}`], status: 404 },
    { send: ['GET', `/v2/lib/other/blobs/${digest}`], status: 404 },
    {
      title: 'GET with a range answers 206 and that part',
      send: ['GET', path],
      headers: { range: 'bytes=10-299999' },
      status: 206,
      expectedHeaders: { ...known, 'content-range': 'bytes 10-299999/1000000', 'content-length': '299990' },
      text: bytes.subarray(10, 300_000),
    },
    {
      title: 'GET with an open range answers 206 and the rest',
      send: ['GET', path],
      headers: { range: 'bytes=999990-' },
      status: 206,
      expectedHeaders: { 'content-range': 'bytes 999990-999999/1000000' },
      text: bytes.subarray(999_990),
    },
    {
      title: 'GET with a suffix range answers 206 and the end',
      send: ['GET', path],
      headers: { range: 'bytes=-5' },
      status: 206,
      text: bytes.subarray(-5),
    },
    {
      title: 'GET with a range past the end answers 416 and the size',
      send: ['GET', path],
      headers: { range: 'bytes=1000000-' },
      status: 416,
      code: 'SIZE_INVALID',
      expectedHeaders: { 'content-range': 'bytes */1000000' },
    },
    {
      title: 'GET with an invalid range answers the full blob',
      send: ['GET', path],
      headers: { range: 'bytes=x' },
      status: 200,
      text: bytes,
    },
    {
      title: 'GET with If-Range of other content answers the full blob',
      send: ['GET', path],
      headers: { range: 'bytes=0-1', 'if-range': '"other"' },
      status: 200,
      text: bytes,
    },
    {
      title: 'GET with If-None-Match answers 304',
      send: ['GET', path],
      headers: { 'if-none-match': `"${digest}"` },
      status: 304,
      expectedHeaders: { etag: `"${digest}"`, 'docker-content-digest': digest },
    },
    {
      title: 'HEAD with If-None-Match answers 304',
      send: ['HEAD', path],
      headers: { 'if-none-match': '*' },
      status: 304,
    },
    { send: ['DELETE', `/v2/lib/app/blobs/${unknown}`], status: 404, code: 'BLOB_UNKNOWN' },
    { send: ['DELETE', `/v2/lib/app/blobs/${empty}`], status: 202 },
    {
      title: 'GET of a deleted blob answers 404',
      send: ['GET', `/v2/lib/app/blobs/${empty}`],
      status: 404,
      code: 'BLOB_UNKNOWN',
    },
  ],
);

test('GET with many ranges answers each of them as multipart/byteranges', async () => {
  const ranges = Array.from({ length: 500 }, (_, index) => [
    index * 1_900 + 3,
    index * 1_900 + (index % 7 ? 40 : 1_500),
  ]);
  ranges.push([100, 400_000]);
  const response = await layer.fetch('GET', path, {
    headers: { range: `bytes=${ranges.map(([first, last]) => `${first}-${last}`).join(',')}` },
  });
  equal(response.status, 206);
  const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(
    response.headers.get('content-type') ?? '',
  )?.[1];
  const body = Buffer.from(await response.arrayBuffer());
  equal(Number(response.headers.get('content-length')), body.byteLength);
  const expected = ranges.map(([first, last], index) =>
    Buffer.concat([
      Buffer.from(
        `${index ? '\r\n' : ''}--${boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ${first}-${last}/1000000\r\n\r\n`,
      ),
      bytes.subarray(first, last! + 1),
    ]),
  );
  equal(Buffer.concat([...expected, Buffer.from(`\r\n--${boundary}--\r\n`)]).equals(body), true);
});

const big = randomBytes(24_000_000);
const request = (method: string, target: string) => `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

test('a reader that disconnects during a download leaves no file open', async () => {
  const target = `/v2/lib/app/blobs/${await layer.blob('lib/app', big)}`;
  for (let round = 0; round < 5; round += 1) {
    const connection = await RawConnection.open(layer.port);
    connection.send(request('GET', target));
    await once(connection.socket, 'data');
    connection.socket.resetAndDestroy();
  }
  await until(async () => (await openContent(layer.data)) === 0);
  equal((await layer.fetch('GET', '/v2/')).status, 200);
});

test('a reader that stops reading is disconnected, and the next one gets the full blob', async () => {
  const target = `/v2/lib/app/blobs/${sha256(big)}`;
  const stuck = await RawConnection.open(layer.port);
  stuck.send(request('GET', target));
  await once(stuck.socket, 'data');
  stuck.socket.pause();
  await until(async () => (await openContent(layer.data)) === 0);
  stuck.socket.destroy();
  const response = await layer.fetch('GET', target);
  equal(sha256(new Uint8Array(await response.arrayBuffer())), sha256(big));
});

test('pipelined requests are answered in order', async () => {
  const connection = await RawConnection.open(layer.port);
  const close = request('GET', '/v2/').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
  connection.send(
    `${request('HEAD', path)}${request('GET', path)}${request('GET', '/v2/none/tags/list')}${close}`,
  );
  const text = await connection.closed;
  deepEqual(text.match(/(?<=HTTP\/1\.1 )\d+/g), ['200', '200', '404', '200']);
});
