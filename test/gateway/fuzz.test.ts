import { equal, ok } from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { mediaTypes } from '#proto/oci.ts';
import { RawConnection } from './http.ts';
import { sha256, TestLayer } from './layer.ts';

const layer = await TestLayer.start({ idleMs: 60, lingerMs: 30, patienceMs: 2_000 });
after(() => layer[Symbol.asyncDispose]());
const digest = await layer.blob('a/b', 'some bytes');

const junk = fc.oneof(
  fc.string({ maxLength: 30 }).map(encodeURI),
  fc.stringMatching(/^[\x21-\x7e]{0,40}$/),
  fc.constantFrom(
    '',
    '..',
    '.',
    '%',
    '%00',
    '%2f',
    '%ff',
    '*',
    ':',
    '@',
    'sha256:',
    '__proto__',
    'constructor',
    '%F0%9F%90%88',
  ),
  fc.constantFrom('x'.repeat(300), 'a/'.repeat(150), '9'.repeat(30), '-1', 'NaN', '1e9'),
);
const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a/b', 'none', 'A', 'a//b') }, junk);
const digests = fc.oneof(
  fc.constantFrom(digest, sha256('x'), digest.toUpperCase(), `${digest}0`, 'sha512:00', 'sha256:zz'),
  junk,
);
const path = fc.oneof(
  fc.tuple(name, fc.constantFrom('blobs', 'manifests', 'referrers'), digests).map((parts) => parts.join('/')),
  fc
    .tuple(name, fc.constantFrom('tags/list', 'blobs/uploads/', 'blobs/uploads', '_catalog'))
    .map((parts) => parts.join('/')),
  fc.tuple(name, fc.constant('blobs/uploads'), junk).map((parts) => parts.join('/')),
  junk,
);
const query = fc.oneof(
  fc.constant(''),
  fc
    .array(
      fc.tuple(
        fc.constantFrom('n', 'last', 'digest', 'mount', 'from', 'artifactType', '__proto__'),
        fc.oneof(digests, junk),
      ),
      {
        maxLength: 4,
      },
    )
    .map((pairs) => `?${pairs.map((pair) => pair.join('=')).join('&')}`),
);
const headers = fc.array(
  fc.tuple(
    fc.constantFrom(
      'Range',
      'Content-Range',
      'If-None-Match',
      'If-Range',
      'Content-Type',
      'Accept',
      'Expect',
      'Authorization',
    ),
    fc.oneof(
      fc.constantFrom(
        'bytes=0-1',
        'bytes=-1,0-',
        'bytes=99-',
        '0-9',
        '5-1',
        mediaTypes.ociManifest,
        mediaTypes.ociIndex,
        '*',
        '100-continue',
      ),
      fc.stringMatching(/^[\x21-\x7e]{0,40}$/),
    ),
  ),
  { maxLength: 4 },
);
const body = fc.oneof(
  fc.constant(undefined),
  fc.json(),
  fc.string(),
  fc
    .record({
      schemaVersion: fc.constant(2),
      config: fc.anything(),
      layers: fc.anything(),
      manifests: fc.anything(),
      subject: fc.anything(),
    })
    .map((value) => {
      try {
        return JSON.stringify(value);
      } catch {
        return '{}';
      }
    }),
);
const request = fc
  .tuple(
    fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'FOO'),
    path,
    query,
    headers,
    body,
    fc.nat(9),
  )
  .map(([method, where, parameters, lines, payload, lie]) => {
    const bytes = Buffer.from(payload ?? '');
    const head = lines.map(([key, value]) => `${key}: ${value}\r\n`).join('');
    // Now and then the body is shorter than it says.
    const length =
      payload === undefined ? '' : `Content-Length: ${bytes.byteLength + (lie === 0 ? 5 : 0)}\r\n`;
    return Buffer.concat([
      Buffer.from(
        `${method} /v2/${where}${parameters} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${head}${length}\r\n`,
      ),
      bytes,
    ]);
  });

test('no request makes the gateway fail', async () => {
  const seen = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 8, maxLength: 8 }), async (requests) => {
      await Promise.all(
        requests.map(async (bytes) => {
          const connection = await RawConnection.open(layer.port);
          connection.send(bytes);
          const answer = await connection.closed;
          const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map((match) => Number(match[1]));
          ok(statuses.length > 0, `no answer to ${bytes.toString().slice(0, 300)}`);
          for (const status of statuses) {
            ok(status < 500, `${answer.slice(0, 300)}\nto\n${bytes.toString().slice(0, 300)}`);
            seen.set(status, (seen.get(status) ?? 0) + 1);
          }
        }),
      );
    }),
    { numRuns: 250 },
  );
  equal((await layer.fetch('GET', '/healthz')).status, 200);
  // The requests are not all refused at the door.
  for (const status of [200, 202, 400, 404, 405]) ok(seen.has(status), `${status} never came: ${[...seen]}`);
});
