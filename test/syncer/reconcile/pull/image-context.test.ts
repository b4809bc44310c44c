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
    manifests: [],
    ...(subject && { subject: descriptor(subject) }),
  } as Manifest,
});
const index = (digest: string, ...manifests: Descriptor[]) => ({
  digest,
  manifest: { mediaType: '', blobs: [], manifests } as Manifest,
});
const amd = { os: 'linux', architecture: 'amd64' };
const arm = { os: 'linux', architecture: 'arm', variant: 'v7' };

test('a blob belongs to the platforms whose manifests name it; one without a platform, to all', () => {
  const branches = [
    image('a', ['only-amd', 'both', 'all']),
    image('b', ['only-arm', 'both', 'all']),
    image('c', ['all']),
    index('i', descriptor('a', amd), descriptor('b', arm), descriptor('c')),
  ];
  for (const order of [branches, branches.toReversed()]) {
    const parts = imageContexts(order, ['v1']);
    assert.deepEqual(parts.get('only-amd'), { tags: ['v1'], platforms: ['linux/amd64'] });
    assert.deepEqual(parts.get('only-arm'), { tags: ['v1'], platforms: ['linux/arm/v7'] });
    assert.deepEqual(parts.get('both')?.platforms?.toSorted(), ['linux/amd64', 'linux/arm/v7']);
    assert.deepEqual(parts.get('all'), { tags: ['v1'] });
  }
});

test('what only referrers name comes as one', () => {
  const branches = [image('a', ['layer', 'shared']), image('s', ['bill', 'shared'], 'a')];
  for (const order of [branches, branches.toReversed()]) {
    const parts = imageContexts(order, ['v1', 'v2']);
    assert.deepEqual(parts.get('bill'), { tags: ['v1', 'v2'], referrer: true });
    assert.deepEqual(parts.get('shared'), { tags: ['v1', 'v2'] });
  }
});

test('of what no tag is to point to, nothing is told', () => {
  assert.equal(imageContexts([image('a', ['layer'])], []).size, 0);
});

const all = { referrers: true as const };
const rows: [why: string, Parameters<typeof isImageSelected>[0], ImageContext | undefined, boolean][] = [
  ['a repository that is not selected', undefined, { tags: ['v1'] }, false],
  ['all of a repository', all, { tags: ['v1'] }, true],
  ['all of it, and nothing was told', all, undefined, true],
  ['a tag filter, and nothing was told', { ...all, tags: { match: ['v1*'] } }, undefined, false],
  ['a tag that a filter selects', { ...all, tags: { match: ['v1*'] } }, { tags: ['x', 'v1.2'] }, true],
  ['a tag that it leaves out', { ...all, tags: { match: ['v1*'] } }, { tags: ['v2'] }, false],
  ['a filter that only all tags together decide', { ...all, tags: { latest: 2 } }, { tags: ['v2'] }, false],
  [
    'its platform',
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
  ['what belongs to all platforms', { ...all, platforms: ['linux/arm'] }, { tags: ['v1'] }, true],
  ['a referrer where none is wanted', { referrers: false }, { tags: ['v1'], referrer: true }, false],
  ['an image where no referrer is wanted', { referrers: false }, { tags: ['v1'] }, true],
];
for (const [why, selected, part, wanted] of rows) {
  test(`${wanted ? 'wanted' : 'not wanted'} early: ${why}`, () => {
    assert.equal(isImageSelected(selected, part), wanted);
  });
}
