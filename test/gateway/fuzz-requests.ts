import fc from 'fast-check';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { sha256, sha512 } from './gateway-rig.ts';

/** Requests of a fuzzing client: HTTP, with arbitrary targets, headers and bodies. */

/** `complete`: the request is sent in full, so that it must be answered. */
export type Sent = { bytes: Buffer; complete: boolean };

export const CONTENT = 'some bytes';
/** Digest of a blob in the repository `a/b`. */
const storedDigest = sha256(CONTENT);

const junk = fc.oneof(
  fc.string({ maxLength: 30 }).map(encodeURI),
  fc.stringMatching(/^[\x21-\x7e]{0,40}$/),
  fc.constantFrom('', '..', '.', '%', '%00', '%2f', '%ff', '*', ':', '@', 'sha256:', '%F0%9F%90%88'),
  fc.constantFrom('__proto__', 'constructor', 'x'.repeat(300), 'a/'.repeat(150), '9'.repeat(30), '-1', 'NaN'),
);
const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a/b', 'none', 'A', 'a//b') }, junk);
const digest = fc.oneof(
  fc.constantFrom(
    storedDigest,
    sha256('x'),
    sha512(CONTENT),
    storedDigest.toUpperCase(),
    `${storedDigest}0`,
    'sha512:00',
    'sha256:zz',
  ),
  fc.string({ maxLength: 8 }).map(sha256),
  junk,
);
const reference = fc.oneof(fc.constantFrom('latest', 'v1', '-x', 'x'.repeat(129)), digest);
const joined = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((all) => all.join('/'));
const path = fc.oneof(
  joined(name, fc.constantFrom('blobs', 'manifests', 'referrers'), reference),
  joined(name, fc.constantFrom('tags/list', 'blobs/uploads/', 'blobs/uploads', '_catalog')),
  joined(name, fc.constant('blobs/uploads'), junk),
  fc.constantFrom('_catalog', '_terrace/changes', '_terrace/arriving', '_terrace/deltas', 'token'),
  joined(fc.constantFrom('_terrace/arriving', '_terrace/deltas'), digest),
  junk,
);
const parameter = fc.constantFrom(
  ...['n', 'last', 'digest', 'mount', 'from', 'tag', 'artifactType', 'digest-algorithm', '__proto__'],
  'repository',
);
const query = fc
  .array(fc.tuple(parameter, fc.oneof(digest, fc.constantFrom('sha512', 'a/b', '0', '2'), junk)), {
    maxLength: 4,
  })
  .map((pairs) => (pairs.length === 0 ? '' : `?${pairs.map((pair) => pair.join('=')).join('&')}`));

const range = fc
  .array(fc.tuple(fc.option(fc.nat(15)), fc.option(fc.nat(15))), { minLength: 1, maxLength: 6 })
  .map((parts) => `bytes=${parts.map(([first, last]) => `${first ?? ''}-${last ?? ''}`).join(',')}`);
const headerName = fc.constantFrom(
  ...['Range', 'Content-Range', 'If-None-Match', 'If-Match', 'If-Range', 'Content-Type', 'Accept', 'Expect'],
  ...['Authorization', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'Accept-Encoding', 'Upgrade', 'Cookie'],
);
const headerValue = fc.oneof(
  range,
  fc.constantFrom(
    'bytes=-1,0-',
    '0-9',
    '5-1',
    '*',
    '100-continue',
    `"${storedDigest}"`,
    'Basic OjpeIQ==',
    'Bearer x.y.z',
  ),
  fc.constantFrom(...Object.values(mediaTypes), ';', 'a/b;'),
  fc.stringMatching(/^[\x21-\x7e]{0,40}$/),
);
const lines = fc
  .array(fc.tuple(headerName, headerValue), { maxLength: 4 })
  .map((pairs) => pairs.map(([key, value]) => `${key}: ${value}\r\n`).join(''));

/** A field of a manifest: usually valid, otherwise any JSON value. */
const field = <T>(valid: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: valid as fc.Arbitrary<unknown> }, fc.jsonValue({ maxDepth: 3 }));
const descriptor = fc.record(
  {
    mediaType: field(fc.constantFrom(...Object.values(mediaTypes), 'application/x')),
    digest: field(fc.constantFrom(storedDigest, sha256('x'), sha512(CONTENT))),
    size: field(fc.integer({ min: -1, max: 20 })),
    annotations: field(fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 })),
    platform: field(fc.constant({ os: 'linux', architecture: 'amd64' })),
    urls: field(fc.constant(['https://x'])),
  },
  { requiredKeys: ['mediaType', 'digest', 'size'] },
);
const descriptors = field(fc.array(field(descriptor), { maxLength: 3 }));
export const manifest = fc
  .record(
    {
      schemaVersion: field(fc.constant(2)),
      mediaType: field(fc.constantFrom(...Object.values(mediaTypes))),
      artifactType: field(fc.string()),
      config: field(descriptor),
      layers: descriptors,
      manifests: descriptors,
      subject: field(descriptor),
      annotations: field(fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 })),
    },
    { requiredKeys: ['schemaVersion'] },
  )
  .map((value) => JSON.stringify(value));
const body = fc.oneof(fc.constant(undefined), fc.json(), fc.string(), fc.constant(CONTENT), manifest);

const method = fc.constantFrom(
  ...['GET', 'GET', 'HEAD', 'POST', 'PUT', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'FOO'],
);

/** Bytes of a request. `truncated`: its body is shorter than its Content-Length. */
export function write(
  verb: string,
  target: string,
  head: string,
  payload?: string | Buffer,
  truncated = false,
): Sent {
  const bytes = Buffer.from(payload ?? '');
  const length = payload === undefined ? '' : `Content-Length: ${bytes.byteLength + (truncated ? 5 : 0)}\r\n`;
  const start = `${verb} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${head}${length}\r\n`;
  return { bytes: Buffer.concat([Buffer.from(start), bytes]), complete: !truncated };
}

const anyRequest = fc
  .tuple(method, path, query, lines, body, fc.nat(9))
  .map(([verb, target, parameters, head, payload, truncated]) =>
    write(verb, `/v2/${target}${parameters}`, head, payload, payload !== undefined && truncated === 0),
  );

const push = fc
  .tuple(reference, query, fc.option(fc.constantFrom(...Object.values(mediaTypes))), manifest)
  .map(([target, parameters, type, text]) =>
    write('PUT', `/v2/a/b/manifests/${target}${parameters}`, type ? `Content-Type: ${type}\r\n` : '', text),
  );

const pull = fc
  .tuple(range, fc.boolean())
  .map(([ranges, head]) =>
    write(head ? 'HEAD' : 'GET', `/v2/a/b/blobs/${storedDigest}`, `Range: ${ranges}\r\n`),
  );

/** A valid upload, which restores the blob after other requests have deleted it. */
const restore = fc.constant(write('POST', `/v2/a/b/blobs/uploads/?digest=${storedDigest}`, '', CONTENT));

/** One request, for a connection of its own. */
export const request = fc.oneof(
  { weight: 5, arbitrary: anyRequest },
  { weight: 2, arbitrary: push },
  { weight: 1, arbitrary: pull },
  { weight: 1, arbitrary: restore },
);

/** Requests to an open upload, in order. */
export type Step = {
  method: string;
  query: string;
  head: string;
  body: string | undefined;
  truncated: boolean;
};
export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    method: fc.constantFrom('PATCH', 'PATCH', 'PUT', 'PUT', 'GET', 'HEAD', 'DELETE'),
    query: fc.oneof({ weight: 3, arbitrary: fc.constant(`?digest=${storedDigest}`) }, query),
    head: fc.oneof(
      { weight: 3, arbitrary: fc.constant('') },
      fc.tuple(fc.nat(12), fc.nat(12)).map(([first, last]) => `Content-Range: ${first}-${last}\r\n`),
      lines,
    ),
    body: fc.constantFrom(undefined, CONTENT, CONTENT, CONTENT, 'some', ' bytes'),
    truncated: fc.nat(5).map((n) => n === 0),
  }),
  { minLength: 1, maxLength: 4 },
);
