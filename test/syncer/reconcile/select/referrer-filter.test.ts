import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Descriptor } from '#proto/oci/manifest.ts';
import { subjectOfTag, wantsReferrer } from '../../../../services/syncer/reconcile/select/referrer-filter.ts';

const hex = 'ab'.repeat(32);
const descriptor = (artifactType?: string): Descriptor => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: `sha256:${hex}`,
  size: 1,
  ...(artifactType && { artifactType }),
});

test('the filter selects all referrers, none, or those of the listed artifact types', () => {
  const [signature, plain] = [descriptor('application/vnd.example.signature'), descriptor()];
  assert.deepEqual([wantsReferrer(true, signature), wantsReferrer(true, plain)], [true, true]);
  assert.deepEqual([wantsReferrer(false, signature), wantsReferrer(false, plain)], [false, false]);
  const types = ['application/spdx+json', 'application/vnd.example.signature'];
  assert.deepEqual([wantsReferrer(types, signature), wantsReferrer(types, plain)], [true, false]);
  assert.equal(wantsReferrer(types, descriptor('application/vnd.example')), false);
});

test('a referrers tag, also one with a suffix, names its subject', () => {
  for (const suffix of ['', '.sig', '.att', '.sbom', '.my-own_1.x']) {
    assert.equal(subjectOfTag(`sha256-${hex}${suffix}`), `sha256:${hex}`, suffix);
  }
  const others = [
    'latest',
    `sha256-${hex.slice(2)}`,
    `sha256-${hex}0`,
    `sha256-${hex}.`,
    `x-sha256-${hex}`,
    `sha256-${hex.toUpperCase()}`,
  ];
  for (const tag of others) assert.equal(subjectOfTag(tag), undefined, tag);
});
