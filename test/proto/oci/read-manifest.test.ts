import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_MANIFEST_BYTES, mediaTypes } from '#proto/oci/manifest.ts';
import { plainMediaType, readManifest } from '#proto/oci/read-manifest.ts';

/** What registries have accepted is read as far as anything depends on it. */

const { ociManifest, ociIndex, dockerManifest, dockerList } = mediaTypes;
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const descriptor = (letter: string, fields: object = {}) => ({
  mediaType: 'application/x',
  digest: digest(letter),
  size: 1,
  ...fields,
});
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const image = { schemaVersion: 2, config: descriptor('a'), layers: [descriptor('b')] };
const list = { schemaVersion: 2, manifests: [descriptor('c', { mediaType: ociManifest })] };
const docker = {
  ...image,
  config: descriptor('a', { mediaType: 'application/vnd.docker.container.image.v1+json' }),
};

const types: [string, object, string, string][] = [
  ['the header, if the bytes have none', image, ociManifest, ociManifest],
  [
    'the header with parameters and in other case',
    image,
    'Application/vnd.OCI.image.manifest.v1+JSON; Charset=utf-8',
    ociManifest,
  ],
  [
    'the bytes, if the header has another type',
    { ...image, mediaType: ociManifest },
    dockerManifest,
    ociManifest,
  ],
  ['the bytes, in other case', { ...image, mediaType: ociManifest.toUpperCase() }, '', ociManifest],
  ['the bytes of an index', { ...list, mediaType: dockerList }, 'text/html', dockerList],
  ['the form: an image', image, 'application/json', ociManifest],
  ['the form: an image of Docker', docker, 'application/octet-stream', dockerManifest],
  ['the form: an index', list, '', ociIndex],
  ['the form, against the header', list, ociManifest, ociIndex],
  ['the form: an index that is empty', { manifests: null }, ociIndex, ociIndex],
];
for (const [name, document, header, expected] of types) {
  test(`the media type is that of ${name}`, () => {
    assert.equal(readManifest(bytes(document), header).mediaType, expected);
  });
}

test('fields that nothing depends on may be malformed', () => {
  const odd = {
    annotations: { a: 1, b: 'text', c: null, d: ['x'] },
    urls: 'http://x',
    artifactType: 7,
    platform: 'linux',
    unknown: {},
  };
  const document = {
    ...image,
    schemaVersion: '2',
    ...odd,
    config: { ...image.config, ...odd, size: -1 },
    layers: [descriptor('b', { ...odd, size: '12' }), descriptor('d', { size: 1.5, mediaType: null })],
    subject: null,
  };
  const { blobs, annotations, subject } = readManifest(bytes(document), ociManifest);
  assert.deepEqual(
    blobs.map((blob) => [blob.digest, blob.size, blob.annotations]),
    [
      [digest('a'), 0, { b: 'text' }],
      [digest('b'), 12, { b: 'text' }],
      [digest('d'), 0, undefined],
    ],
  );
  assert.deepEqual([annotations, subject], [{ b: 'text' }, undefined]);
});

test('an image without a configuration refers to its layers', () => {
  const { blobs } = readManifest(bytes({ schemaVersion: 2, layers: [descriptor('b')] }), ociManifest);
  assert.deepEqual(
    blobs.map((blob) => blob.digest),
    [digest('b')],
  );
});

const refused: [string, unknown, string, RegExp][] = [
  ['no JSON', '<html>', ociManifest, /not JSON/],
  ['a list', [], ociManifest, /not an object/],
  [
    'an error of a registry',
    { errors: [{ code: 'DENIED' }] },
    ociManifest,
    /neither an image manifest nor an index/,
  ],
  [
    'both an image and an index',
    { ...image, ...list },
    'application/json',
    /neither an image manifest nor an index/,
  ],
  [
    'an invalid digest',
    { ...image, layers: [descriptor('b', { digest: 'sha256:x' })] },
    ociManifest,
    /layers\/0\/digest/,
  ],
  ['a text as a layer', { ...image, layers: ['x'] }, ociManifest, /layers\/0/],
  ['schema 1', { schemaVersion: 1, fsLayers: [] }, 'text/plain', /schema 1 .* push the image again/],
  ['schema 1 by its type', image, 'application/vnd.docker.distribution.manifest.v1+prettyjws', /schema 1/],
  [
    'an artifact manifest',
    { mediaType: 'application/vnd.oci.artifact.manifest.v1+json' },
    ociManifest,
    /artifact manifests/,
  ],
];
for (const [name, document, header, pattern] of refused) {
  test(`refused is ${name}`, () => {
    assert.throws(() => readManifest(bytes(document), header), {
      code: 'manifest-invalid',
      message: pattern,
    });
  });
}

test('a manifest of more than 4 MiB is refused', () => {
  assert.throws(() => readManifest(Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '), ociManifest), {
    code: 'too-large',
  });
});

test('a media type is compared without parameters and case', () => {
  assert.equal(plainMediaType(' Text/HTML ; charset=utf-8'), 'text/html');
  assert.equal(plainMediaType(undefined), '');
});
