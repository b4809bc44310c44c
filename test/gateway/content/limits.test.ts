import { deepEqual, equal } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { MAX_MANIFEST_BYTES, mediaTypes } from '#proto/oci/manifest.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { check } from '../rows.ts';

/** The largest and most unusual requests that are still served. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const bytes = randomBytes(200_000);
const path = `/v2/a/blobs/${await layer.blob('a', bytes)}`;
const headers = { 'content-type': mediaTypes.ociManifest };

/** An image manifest of `size` bytes. */
function image(size: number): string {
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 };
  const of = (a: string) => JSON.stringify({ schemaVersion: 2, config, layers: [], annotations: { a } });
  return of('x'.repeat(size - of('').length));
}

test('a manifest of exactly 4 MiB is stored and served, and one of a byte more is refused', async () => {
  await layer.blob('a', '{}');
  const largest = image(MAX_MANIFEST_BYTES);
  await check(layer, { send: ['PUT', '/v2/a/manifests/largest'], headers, body: largest, status: 201 });
  const expectedHeaders = {
    'content-length': String(MAX_MANIFEST_BYTES),
    'docker-content-digest': sha256(largest),
  };
  await check(layer, { send: ['HEAD', '/v2/a/manifests/largest'], status: 200, expectedHeaders });
  await check(layer, {
    send: ['GET', '/v2/a/manifests/largest'],
    status: 200,
    expectedHeaders,
    text: Buffer.from(largest),
  });
  const more = { headers, body: image(MAX_MANIFEST_BYTES + 1), status: 413, code: 'SIZE_INVALID' };
  await check(layer, { send: ['PUT', '/v2/a/manifests/larger'], ...more });
});

test('the longest name, tag and digest work together, and a name of one character more is refused', async () => {
  const name = `${'a'.repeat(127)}/${'b'.repeat(127)}`;
  const tag = 'T'.repeat(128);
  await layer.blob(name, '{}');
  const text = image(1_000);
  await check(layer, { send: ['PUT', `/v2/${name}/manifests/${tag}`], headers, body: text, status: 201 });
  await check(layer, { send: ['GET', `/v2/${name}/manifests/${sha256(text)}`], status: 200, text });
  const list = JSON.stringify({ name, tags: [tag] });
  await check(layer, { send: ['GET', `/v2/${name}/tags/list`], status: 200, text: list });
  const long = { status: 400, code: 'NAME_INVALID' };
  await check(layer, { send: ['GET', `/v2/${name}b/tags/list`], ...long });
});

type Part = { range: string; bytes: Buffer };

/** The parts of a `multipart/byteranges` (RFC 9110, 14.6), as a client reads them. */
function partsOf(body: Buffer, type: string): Part[] {
  const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(type)![1];
  const text = body.toString('latin1');
  equal(text.endsWith(`\r\n--${boundary}--\r\n`), true);
  const pieces = text.slice(0, -`\r\n--${boundary}--\r\n`.length).split(`--${boundary}\r\n`).slice(1);
  return pieces.map((piece, index) => {
    const [head, ...rest] = piece.split('\r\n\r\n');
    const content = rest.join('\r\n\r\n');
    const end = index < pieces.length - 1 ? -2 : undefined;
    const range = /^content-range: bytes (.*)$/im.exec(head!)![1]!;
    return { range, bytes: Buffer.from(content.slice(0, end), 'latin1') };
  });
}

const last = bytes.byteLength - 1;
const mixes: [title: string, ranges: string, parts: [first: number, last: number][]][] = [
  [
    'overlapping ranges',
    '0-99,50-149',
    [
      [0, 99],
      [50, 149],
    ],
  ],
  [
    'the same range twice',
    '7-7,7-7',
    [
      [7, 7],
      [7, 7],
    ],
  ],
  [
    'ranges in descending order',
    '1000-1999,0-99',
    [
      [1000, 1999],
      [0, 99],
    ],
  ],
  [
    'ranges of which some are past the end',
    `0-9,${last + 1}-,-10,${last - 1}-${last + 50}`,
    [
      [0, 9],
      [last - 9, last],
      [last - 1, last],
    ],
  ],
  [
    'ranges with blanks, of which one ends before it begins',
    ' 0-9 ,, 9-3, 20-29 ',
    [
      [0, 9],
      [20, 29],
    ],
  ],
  [
    '2,000 ranges',
    Array.from({ length: 2_000 }, (_, n) => `${n * 100}-${n * 100 + 9}`).join(','),
    Array.from({ length: 2_000 }, (_, n): [number, number] => [n * 100, n * 100 + 9]),
  ],
];
for (const [title, ranges, parts] of mixes) {
  test(`${title}: each valid range is sent, in the order of the request`, async () => {
    const response = await layer.fetch('GET', path, { headers: { range: `bytes=${ranges}` } });
    equal(response.status, 206);
    const found = partsOf(Buffer.from(await response.bytes()), response.headers.get('content-type') ?? '');
    deepEqual(
      found.map(({ range }) => range),
      parts.map(([from, to]) => `${from}-${to}/${bytes.byteLength}`),
    );
    for (const [index, [from, to]] of parts.entries()) {
      equal(found[index]!.bytes.equals(bytes.subarray(from, to + 1)), true, `part ${index}`);
    }
  });
}

test('the only valid range of several is sent as a single range', async () => {
  const response = await check(layer, {
    send: ['GET', path],
    headers: { range: `bytes=5-9,${last + 1}-` },
    status: 206,
    expectedHeaders: { 'content-range': `bytes 5-9/${bytes.byteLength}`, 'content-length': '5' },
    text: bytes.subarray(5, 10),
  });
  equal(response.headers.get('content-type'), 'application/octet-stream');
});

test('only invalid ranges answer 416; more than 4,096 ranges, or more bytes than the blob, answer the full blob', async () => {
  const none = { status: 416, expectedHeaders: { 'content-range': `bytes */${bytes.byteLength}` } };
  await check(layer, { send: ['GET', path], headers: { range: `bytes=9-3,${last + 1}-,-0` }, ...none });
  const full = { status: 200, text: bytes, expectedHeaders: { 'content-length': String(bytes.byteLength) } };
  for (const range of [`bytes=${'0-1,'.repeat(4_097)}`, 'bytes=0-,0-,1-']) {
    await check(layer, { send: ['GET', path], headers: { range }, ...full });
  }
  await check(layer, { send: ['HEAD', path], headers: { range: 'bytes=0-1' }, status: 200 });
});

for (const type of [';', 'a/b;', 'text', '', 'application/json; x', 'text/plain; charset="']) {
  test(`an upload may have the Content-Type ${JSON.stringify(type)}`, async () => {
    const typed = { 'content-type': type };
    const digest = sha256(type);
    const at = await layer.upload('typed');
    await check(layer, { send: ['PATCH', at], headers: typed, body: Buffer.from(type), status: 202 });
    await check(layer, { send: ['PUT', `${at}?digest=${digest}`], headers: typed, status: 201 });
    await check(layer, { send: ['GET', `/v2/typed/blobs/${digest}`], status: 200, text: type });
    const post = `/v2/typed/blobs/uploads/?digest=${digest}`;
    await check(layer, { send: ['POST', post], headers: typed, body: Buffer.from(type), status: 201 });
  });
}
