import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choose } from '#proto/content/platforms.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';

let serial = 0;
function child(platform?: string, about?: Descriptor): Descriptor {
  serial += 1;
  const [os, architecture, variant] = platform?.split('/') ?? [];
  return {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${serial.toString(16).padStart(64, '0')}`,
    size: 1,
    ...(os && architecture && { platform: { os, architecture, ...(variant && { variant }) } }),
    ...(about && { annotations: { 'vnd.docker.reference.digest': about.digest } }),
  };
}
const isWanted = (platform: string, filter: string) =>
  choose([child(platform)], [filter]).wanted.length === 1;

test('without a filter, all children are wanted', () => {
  const children = [child('linux/amd64'), child()];
  assert.deepEqual(choose(children, undefined), { wanted: children, leftOut: [] });
});

test('a child that matches no platform is left out, with the platform name from the index', () => {
  const [amd, arm, windows] = [child('linux/amd64'), child('linux/arm64/v8'), child('windows/amd64')];
  assert.deepEqual(choose([amd, arm, windows], ['linux/amd64']), {
    wanted: [amd],
    leftOut: [
      { digest: arm.digest, platform: 'linux/arm64/v8' },
      { digest: windows.digest, platform: 'windows/amd64' },
    ],
  });
  assert.deepEqual(choose([amd, arm, windows], ['windows/amd64', 'linux/arm64']).wanted, [arm, windows]);
});

const rows: [platform: string, filter: string, wanted: boolean][] = [
  ['linux/arm64/v8', 'linux/arm64', true],
  ['linux/arm64', 'linux/arm64/v8', true],
  ['linux/aarch64', 'linux/arm64', true],
  ['linux/arm64/8', 'linux/aarch64/v8', true],
  ['linux/arm64/v9', 'linux/arm64', true],
  ['linux/arm64/v9', 'linux/arm64/v8', false],
  ['linux/x86_64', 'linux/amd64', true],
  ['linux/amd64', 'linux/x86_64', true],
  ['linux/amd64/v3', 'linux/amd64', true],
  ['linux/amd64', 'linux/amd64/v1', true],
  ['linux/amd64/v3', 'linux/amd64/v1', false],
  ['linux/arm/v7', 'linux/arm', true],
  ['linux/arm/v6', 'linux/arm', true],
  ['linux/arm', 'linux/arm/v7', true],
  ['linux/arm/7', 'linux/arm/v7', true],
  ['linux/arm/v6', 'linux/arm/v7', false],
  ['linux/arm/v7', 'linux/armhf', true],
  ['linux/arm/v6', 'linux/armhf', false],
  ['linux/armel', 'linux/arm/v6', true],
  ['linux/i386', 'linux/386', true],
  ['macos/arm64', 'darwin/arm64', true],
  ['Linux/AMD64', 'linux/amd64', true],
  ['linux/s390x', 'linux/amd64', false],
  ['linux/arm', 'linux/arm64', false],
];
for (const [platform, filter, wanted] of rows) {
  test(`${filter} ${wanted ? 'selects' : 'excludes'} ${platform}`, () =>
    assert.equal(isWanted(platform, filter), wanted));
}

test('children with no platform or an incomplete one are wanted', () => {
  const half = { ...child(), platform: { os: 'linux' } };
  const children = [child(), half, { ...child(), platform: {} }];
  assert.deepEqual(choose(children, ['linux/amd64']), { wanted: children, leftOut: [] });
});

test('attestations follow the child that they are about, and are wanted if the index lacks it', () => {
  const [amd, arm] = [child('linux/amd64'), child('linux/arm64')];
  const [ofAmd, ofArm] = [child('unknown/unknown', amd), child('unknown/unknown', arm)];
  const [ofNone, ofOther] = [child('unknown/unknown'), child('unknown/unknown', child())];
  const { wanted, leftOut } = choose([ofArm, amd, arm, ofAmd, ofNone, ofOther], ['linux/amd64']);
  assert.deepEqual(wanted, [amd, ofAmd, ofNone, ofOther]);
  assert.deepEqual(leftOut, [
    { digest: ofArm.digest, platform: 'linux/arm64' },
    { digest: arm.digest, platform: 'linux/arm64' },
  ]);
});

test('a manifest that is listed for several platforms is wanted for any of them, and left out once', () => {
  const one = child('linux/arm64');
  const same = { ...one, platform: { os: 'linux', architecture: 'amd64' } };
  for (const children of [
    [one, same],
    [same, one],
  ]) {
    assert.deepEqual(choose(children, ['linux/amd64']), { wanted: children, leftOut: [] });
    assert.equal(choose(children, ['linux/s390x']).leftOut.length, 1);
  }
});
