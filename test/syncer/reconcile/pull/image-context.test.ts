import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageContext } from '#proto/content/arriving.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import { imageContexts, isImageSelected } from '../../../../services/syncer/reconcile/pull/image-context.ts';

const descriptor = (digest: string, platform?: Descriptor['platform']): Descriptor => ({
  mediaType: '',
  digest,
  size: 1,
  ...(platform && { platform }),
});
const image = (digest: string, blobs: string[], subject?: string) => ({
  digest,
  manifest: {
    mediaType: '',
    blobs: blobs.map((blob) => descriptor(blob)),
    foreign: [],
    manifests: [],
    ...(subject && { subject: descriptor(subject) }),
  } as Manifest,
});
const index = (digest: string, ...manifests: Descriptor[]) => ({
  digest,
  manifest: { mediaType: '', blobs: [], foreign: [], manifests } as Manifest,
});
const amd = { os: 'linux', architecture: 'amd64' };
const arm = { os: 'linux', architecture: 'arm', variant: 'v7' };

test('a blob belongs to the platforms of the manifests that name it, or to all if one has no platform', () => {
  const nodes = [
    image('a', ['only-amd', 'both', 'all']),
    image('b', ['only-arm', 'both', 'all']),
    image('c', ['all']),
    index('i', descriptor('a', amd), descriptor('b', arm), descriptor('c')),
  ];
  for (const order of [nodes, nodes.toReversed()]) {
    const contexts = imageContexts(order, ['v1']);
    assert.deepEqual(contexts.get('only-amd'), { tags: ['v1'], platforms: ['linux/amd64'] });
    assert.deepEqual(contexts.get('only-arm'), { tags: ['v1'], platforms: ['linux/arm/v7'] });
    assert.deepEqual(contexts.get('both')?.platforms?.toSorted(), ['linux/amd64', 'linux/arm/v7']);
    assert.deepEqual(contexts.get('all'), { tags: ['v1'] });
  }
});

test('a blob that only referrers name is marked as content of a referrer', () => {
  const nodes = [image('a', ['layer', 'shared']), image('s', ['bill', 'shared'], 'a')];
  for (const order of [nodes, nodes.toReversed()]) {
    const contexts = imageContexts(order, ['v1', 'v2']);
    assert.deepEqual(contexts.get('bill'), { tags: ['v1', 'v2'], referrer: true });
    assert.deepEqual(contexts.get('shared'), { tags: ['v1', 'v2'] });
  }
});

test('an image without a tag has no contexts', () => {
  assert.equal(imageContexts([image('a', ['layer'])], []).size, 0);
});

const all = { referrers: true as const };
const rows: [why: string, Parameters<typeof isImageSelected>[0], ImageContext | undefined, boolean][] = [
  ['a repository that is not selected', undefined, { tags: ['v1'] }, false],
  ['a repository without filters', all, { tags: ['v1'] }, true],
  ['a repository without filters, a blob without context', all, undefined, true],
  ['a tag filter, a blob without context', { ...all, tags: { match: ['v1*'] } }, undefined, false],
  ['a tag that the filter selects', { ...all, tags: { match: ['v1*'] } }, { tags: ['x', 'v1.2'] }, true],
  ['a tag that the filter excludes', { ...all, tags: { match: ['v1*'] } }, { tags: ['v2'] }, false],
  ['a filter that depends on all tags', { ...all, tags: { latest: 2 } }, { tags: ['v2'] }, false],
  [
    'a platform of the selection',
    { ...all, platforms: ['linux/arm'] },
    { tags: ['v1'], platforms: ['linux/amd64', 'linux/arm/v7'] },
    true,
  ],
  [
    'another platform',
    { ...all, platforms: ['linux/arm'] },
    { tags: ['v1'], platforms: ['linux/amd64'] },
    false,
  ],
  ['a blob of all platforms', { ...all, platforms: ['linux/arm'] }, { tags: ['v1'] }, true],
  [
    'a referrer, while referrers are not selected',
    { referrers: false },
    { tags: ['v1'], referrer: true },
    false,
  ],
  ['an image, while referrers are not selected', { referrers: false }, { tags: ['v1'] }, true],
];
for (const [why, selected, context, isSelected] of rows) {
  test(`${isSelected ? 'prefetched' : 'not prefetched'}: ${why}`, () => {
    assert.equal(isImageSelected(selected, context), isSelected);
  });
}
