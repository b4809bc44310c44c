import fc from 'fast-check';
import { manifest, request, type Sent } from './fuzz-requests.ts';

/** Streams of a fuzzing client: HTTP in part, or not at all. */

const get = 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n';
const post = 'POST /v2/a/b/blobs/uploads/ HTTP/1.1\r\nHost: localhost\r\n';
const put = 'PUT /v2/a/b/manifests/raw HTTP/1.1\r\nHost: localhost\r\n';
const chunked = 'Transfer-Encoding: chunked\r\n';

/** Ambiguous and invalid message framings. */
const framings = [
  `${post}Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello`,
  `${post}Content-Length: 5, 5\r\n\r\nhello`,
  `${post}Content-Length: -1\r\n\r\n`,
  `${post}Content-Length: 99999999999999999999\r\n\r\nx`,
  `${post}Content-Length: 3\r\n${chunked}\r\n0\r\n\r\nGET /v2/ HTTP/1.1\r\n\r\n`,
  `${post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  `${post}Transfer-Encoding: gzip\r\n\r\nx`,
  `${put}${chunked}\r\nzz\r\nhello\r\n0\r\n\r\n`,
  `${put}${chunked}\r\n5\r\nhello`,
  `${put}${chunked}\r\n5;ext=${'y'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`,
  `${put}${chunked}\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n`,
  `${put}${chunked}\r\nffffffffffffffff\r\nx`,
  'GET /v2/ HTTP/2.0\r\nHost: localhost\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'GET /v2/ HTTP/0.9\r\n\r\n',
  'GET /v2/\r\n\r\n',
  'GET  /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET /v2/ HTTP/1.1\nHost: x\n\n',
  'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nHost: y\r\n\r\n',
  'GET /v2/ HTTP/1.1\r\n\r\n',
  `${get}X : y\r\n\r\n`,
  `${get}X: y\r\n z\r\n\r\n`,
  `${get}X: \0\r\n\r\n`,
  `${get}: y\r\n\r\n`,
  `${get}Expect: 100-continue\r\nExpect: what\r\n\r\n`,
  `${get}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  `${get}Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
  'CONNECT /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n',
  '\r\n\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
];
const framing = fc.constantFrom(...framings).map((text) => Buffer.from(text, 'latin1'));

const noise = fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes));
const huge = fc.oneof(
  fc.integer({ min: 1, max: 300_000 }).map((n) => Buffer.from(`${get}X: ${'y'.repeat(n)}\r\n\r\n`)),
  fc.integer({ min: 1, max: 5_000 }).map((n) => Buffer.from(`${get}${'X: y\r\n'.repeat(n)}\r\n`)),
  fc
    .integer({ min: 1, max: 300_000 })
    .map((n) => Buffer.from(`GET /v2/${'a'.repeat(n)} HTTP/1.1\r\nHost: localhost\r\n\r\n`)),
  fc
    .integer({ min: 1, max: 9_000 })
    .map((n) => Buffer.from(`${get}Range: bytes=${'0-1,'.repeat(n)}\r\n\r\n`)),
);

/** A chunked body, from a client that does not know its size. */
const streamed = manifest.map((text) => {
  const [first, rest] = [text.slice(0, 3), text.slice(3)].map((part) => Buffer.from(part));
  const chunk = (bytes: Buffer) => [`${bytes.byteLength.toString(16)}\r\n`, bytes, '\r\n'];
  const parts = [
    put,
    chunked,
    '\r\n',
    ...chunk(first!),
    ...(rest!.byteLength > 0 ? chunk(rest!) : []),
    '0\r\n\r\n',
  ];
  return Buffer.concat(parts.map((part) => Buffer.from(part)));
});

const keepAlive = request.map(({ bytes }) =>
  Buffer.from(bytes.toString('latin1').replace('Connection: close\r\n', ''), 'latin1'),
);
const pipelined = fc
  .array(fc.oneof(keepAlive, streamed, framing), { minLength: 2, maxLength: 6 })
  .map(Buffer.concat);
const truncated = fc
  .tuple(fc.oneof(keepAlive, streamed, framing), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([bytes, share]) => bytes.subarray(0, Math.floor(bytes.byteLength * share)));
const corrupted = fc.tuple(keepAlive, fc.nat(400), fc.nat(255)).map(([bytes, at, value]) => {
  const copy = Buffer.from(bytes);
  copy[at % copy.byteLength] = value;
  return copy;
});

/** Bytes of a connection that ends after them. An answer is optional. */
export const stream: fc.Arbitrary<Sent> = fc
  .oneof(framing, noise, huge, streamed, pipelined, truncated, corrupted)
  .map((bytes) => ({ bytes, complete: false }));
