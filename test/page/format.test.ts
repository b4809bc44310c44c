import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatDuration } from '../../cli/terminal/figures.ts';
import { hostText, imageName, mediaText, pullName, shortDigest } from '../../page/format/names.ts';
import { bytesText, countText, durationText, percentOf, plural } from '../../page/format/quantities.ts';
import { agoText, inText, whenText } from '../../page/format/times.ts';

test('sizes and durations are written as on the command line', () => {
  for (const bytes of [0, 1, 999, 1_000, 1_240_000_000, 99_499, 99_500, 999_499, 999_500, 4e12]) {
    assert.equal(bytesText(bytes), formatBytes(bytes));
  }
  for (const ms of [0, 499, 45_000, 60_000, 12 * 60_000, 3_600_000, 12_000_000, 5 * 86_400_000 + 7_200_000]) {
    assert.equal(durationText(ms), formatDuration(ms));
  }
});

test('a count has separators, and a noun its number', () => {
  assert.deepEqual([0, 999, 1_000, 12_408, 1_234_567].map(countText), [
    '0',
    '999',
    '1,000',
    '12,408',
    '1,234,567',
  ]);
  assert.equal(plural(1, 'repository', 'repositories'), '1 repository');
  assert.equal(plural(2_000, 'tag'), '2,000 tags');
});

test('a share is 100 % only when it is complete, and 0 % only before the first byte', () => {
  assert.equal(percentOf(0, 10), 0);
  assert.equal(percentOf(1, 10_000), 1);
  assert.equal(percentOf(9_999, 10_000), 99);
  assert.equal(percentOf(10_000, 10_000), 100);
  assert.equal(percentOf(0, 0), 0);
});

test('an instant is said against now', () => {
  const now = Date.parse('2026-11-30T12:00:00Z');
  assert.equal(agoText(now + 400, now), 'now');
  assert.equal(agoText(now - 18_000, now), '18 s ago');
  assert.equal(inText(now + 360_000, now), 'in 6 min');
  assert.equal(inText(now - 1, now), 'now');
  assert.match(whenText(now, now), /^\d\d:\d\d$/);
  assert.match(whenText(now + 3 * 86_400_000, now), /^2026-12-03 \d\d:\d\d$/);
});

test('an image is named by tag or digest, for people and for clients', () => {
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
  assert.equal(shortDigest(digest), 'sha256:0123456789ab');
  assert.equal(imageName('line/web', '2'), 'line/web:2');
  assert.equal(imageName('line/web', digest), 'line/web@sha256:0123456789ab');
  assert.equal(imageName('line/web', null), 'line/web');
  assert.equal(pullName('https://line-3:5000/', 'line/web', '2'), 'line-3:5000/line/web:2');
  assert.equal(pullName('line-3:5000', 'line/web', digest), `line-3:5000/line/web@${digest}`);
  assert.equal(hostText('https://site.example.com/'), 'site.example.com');
});

test('media types of images have words, and others stay as they are', () => {
  assert.equal(mediaText('application/vnd.oci.image.index.v1+json'), 'Index');
  assert.equal(mediaText('application/vnd.docker.distribution.manifest.list.v2+json'), 'Index');
  assert.equal(mediaText('application/vnd.oci.image.manifest.v1+json'), 'Image manifest');
  assert.equal(mediaText('application/vnd.oci.image.layer.v1.tar+gzip'), 'Layer, gzip');
  assert.equal(mediaText('application/vnd.oci.image.layer.v1.tar+zstd'), 'Layer, zstd');
  assert.equal(mediaText('application/spdx+json'), 'application/spdx+json');
});
