import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES, mediaTypes, parseManifest } from '#proto/oci/manifest.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const descriptor = (letter: string, mediaType = 'application/x', more: object = {}) => ({
  mediaType,
  digest: digest(letter),
  size: 1,
  ...more,
});
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const image = { schemaVersion: 2, config: descriptor('a', 'application/config'), layers: [descriptor('b')] };
const { ociManifest, ociIndex, dockerManifest, dockerList } = mediaTypes;
const index = { schemaVersion: 2, manifests: [descriptor('c', ociManifest)] };

test('an image refers to its config and its layers', () => {
  for (const mediaType of [ociManifest, dockerManifest]) {
    const manifest = parseManifest(bytes(image), mediaType);
    assert.deepEqual(
      manifest.blobs.map((blob) => blob.digest),
      [digest('a'), digest('b')],
    );
    assert.deepEqual(manifest.manifests, []);
    assert.equal(manifest.artifactType, 'application/config');
  }
});

test('an index refers to manifests, and may be empty or have null for them', () => {
  for (const mediaType of [ociIndex, dockerList]) {
    assert.deepEqual(
      parseManifest(bytes(index), mediaType).manifests.map((child) => child.digest),
      [digest('c')],
    );
    assert.deepEqual(parseManifest(bytes({ ...index, manifests: null }), mediaType).manifests, []);
  }
});

test('an entry of an index whose media type is not that of a manifest is a blob', () => {
  const layer = descriptor('b', 'application/vnd.oci.image.layer.v1.tar+gzip');
  const config = descriptor('a', 'application/vnd.buildkit.cacheconfig.v0');
  const nested = descriptor('d', dockerList);
  const untyped = descriptor('e', '');
  const manifests = [layer, nested, config, untyped];
  for (const parse of [parseManifest, readManifest]) {
    const parsed = parse(bytes({ ...index, manifests }), ociIndex);
    assert.deepEqual(
      [parsed.blobs, parsed.manifests],
      [
        [layer, config],
        [nested, untyped],
      ],
    );
  }
});

test('an artifact has an artifact type, a subject and annotations', () => {
  const artifact = {
    ...image,
    artifactType: 'application/sbom',
    subject: descriptor('d'),
    annotations: { a: 'b' },
  };
  const manifest = parseManifest(bytes(artifact), ociManifest);
  assert.equal(manifest.artifactType, 'application/sbom');
  assert.equal(manifest.subject?.digest, digest('d'));
  assert.deepEqual(manifest.annotations, { a: 'b' });
});

test('an empty artifactType counts as absent: an image has the type of its config, an index has none', () => {
  const empty = { artifactType: '' };
  assert.equal(parseManifest(bytes({ ...image, ...empty }), ociManifest).artifactType, 'application/config');
  assert.equal(parseManifest(bytes({ ...index, ...empty }), ociIndex).artifactType, undefined);
});

test('a null field and an incomplete platform count as absent', () => {
  const nothing = { urls: null, annotations: null, platform: null, artifactType: null };
  const withNulls = {
    ...image,
    config: { ...image.config, ...nothing },
    layers: [descriptor('b', 'application/x', nothing), descriptor('f', 'application/x', { platform: {} })],
    ...{ subject: null, annotations: null, mediaType: null, manifests: null },
  };
  const manifest = parseManifest(bytes(withNulls), ociManifest);
  assert.equal(manifest.blobs.length, 3);
  assert.deepEqual(Object.keys(manifest.blobs[0]!), ['mediaType', 'digest', 'size']);
  assert.equal(manifest.subject, undefined);
  assert.deepEqual(parseManifest(bytes({ ...image, layers: null }), ociManifest).blobs.length, 1);
});

test('foreign layers are not among the blobs of a manifest', () => {
  const foreign = descriptor('e', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', {
    urls: ['http://x'],
  });
  const layers = [foreign, descriptor('b')];
  const { blobs, foreign: apart } = parseManifest(bytes({ ...image, layers }), dockerManifest);
  assert.deepEqual(apart, [foreign]);
  assert.deepEqual(
    blobs.map((blob) => blob.digest),
    [digest('a'), digest('b')],
  );
});

const refused: [string, unknown, string, RegExp][] = [
  ['not JSON', '{', ociManifest, /not JSON/],
  ['not UTF-8', Buffer.of(0xff, 0xfe), ociManifest, /not JSON in UTF-8/],
  ['a list', [], ociManifest, /object/i],
  ['schema 1', { ...image, schemaVersion: 1 }, ociManifest, /schemaVersion/],
  ['no config', { ...image, config: undefined }, ociManifest, /config is missing/],
  ['no layers', { ...image, layers: undefined }, ociManifest, /layers is missing/],
  ['an index without manifests', { schemaVersion: 2 }, ociIndex, /manifests is missing/],
  ['a bad digest', { ...image, layers: [{ ...descriptor('b'), digest: 'sha256:x' }] }, ociManifest, /layers/],
  ['null in a list', { ...image, layers: [null] }, ociManifest, /layers/],
  ['null for a config', { ...image, config: null }, ociManifest, /config is missing/],
  ['a negative size', { ...image, layers: [{ ...descriptor('b'), size: -1 }] }, ociManifest, /layers/],
  ['another type inside', { ...image, mediaType: dockerManifest }, ociManifest, /must agree/],
  ['an unknown media type', image, 'application/json', /media type/],
];
for (const [name, manifest, mediaType, pattern] of refused) {
  test(`a manifest is refused: ${name}`, () => {
    const data = Buffer.isBuffer(manifest) ? manifest : bytes(manifest);
    assert.throws(
      () => parseManifest(data, mediaType),
      (error) => Fault.is(error, 'manifest-invalid') && pattern.test(error.message),
    );
  });
}

test('a manifest of more than 4 MiB is refused', () => {
  assert.throws(
    () => parseManifest(Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '), ociManifest),
    (error) => Fault.is(error, 'too-large'),
  );
});

test('faults quote only a short part of a manifest or its media type', () => {
  const long = 'x'.repeat(1_000_000);
  const isShort = ({ message }: Error) => message.length < 700;
  assert.throws(() => parseManifest(bytes(image), long), isShort);
  assert.throws(() => parseManifest(bytes({ ...image, mediaType: long }), ociManifest), isShort);
});

test('a manifest with too many values or too much nesting is refused', () => {
  const wide = `{"schemaVersion":2,"manifests":[],"x":[${'{},'.repeat(300_000)}{}]}`;
  const deep = `{"schemaVersion":2,"manifests":[],"x":${'['.repeat(100_000)}`;
  assert.throws(() => parseManifest(bytes(wide), ociIndex), {
    code: 'manifest-invalid',
    message: /200000 values/,
  });
  assert.throws(() => parseManifest(bytes(deep), ociIndex), { code: 'manifest-invalid', message: /64 deep/ });
});
