import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { FaultProxy } from '../proxy/fault-proxy.ts';
import { type Cloud, startCloud } from './cloud.ts';
import { firstDifference, pushArtifact, pushImage, pushIndex, readAll, tagImage, walk } from './image.ts';

/** `firstDifference` and `readAll`: two registries with equal content, and with one difference at a time. */

let one: Cloud;
let other: Cloud;
let repository = '';
let serial = 0;
before(async () => {
  [one, other] = await Promise.all([startCloud(), startCloud()]);
});
after(() => Promise.all([one, other].map((cloud) => cloud[Symbol.asyncDispose]())));
beforeEach(() => {
  serial += 1;
  repository = `same/${serial}`;
});

const image = (cloud: Cloud, tag?: string, seed = 'layer') =>
  pushImage(cloud.host, repository, tag, { layers: [{ seed, size: 20_000 }] });
const both = () => firstDifference(one.host, other.host, [repository]);

test('registries with the same pushes have the same content', async () => {
  for (const { host } of [one, other]) {
    const amd = await pushImage(host, repository, undefined);
    const arm = await pushImage(host, repository, undefined, {
      platform: { os: 'linux', architecture: 'arm64' },
    });
    await pushArtifact(host, repository, { subject: await pushIndex(host, repository, 'index', [amd, arm]) });
  }
  assert.equal(await both(), undefined);
  const { manifests, referrers } = await readAll(one.host, repository, 'index');
  assert.equal(manifests.size, 4);
  assert.equal([...referrers.values()].flat().length, 1);
});

test('a missing tag, an additional tag and a moved tag are reported', async () => {
  const pushed = await image(one, 'a');
  assert.match(String(await both()), /only 127\.0\.0\.1:\d+ has the tag a/);
  await image(other, 'a');
  await image(other, 'b');
  assert.match(String(await both()), /has the tag b/);
  await tagImage(one.host, repository, pushed, 'b');
  assert.equal(await both(), undefined);
  await image(one, 'b', 'elsewhere');
  assert.match(String(await both()), /b: sha256:\w+ here, sha256:\w+ there/);
});

test('a referrer in only one registry is reported', async () => {
  const subject = await image(one, 'a');
  await image(other, 'a');
  const artifact = await pushArtifact(one.host, repository, { subject, tag: 'note' });
  await pushArtifact(other.host, repository, { tag: 'note' });
  assert.match(String(await both()), /has the tag sha256-/);
  assert.ok((await walk(one.host, repository, 'a')).manifests.has(artifact.digest));
});

test('a corrupt blob, a corrupt manifest and a missing blob are reported', async () => {
  await image(one, 'a');
  await image(other, 'a');
  await using proxy = await FaultProxy.start(other.url);
  const through = () => firstDifference(one.host, proxy.host, [repository]);
  assert.equal(await through(), undefined);
  proxy.fault(({ path }) => (path.includes('/blobs/') ? { corruptAt: 19 } : undefined));
  assert.match(String(await through()), /serves \d+ bytes of sha256:\w+ as sha256:/);
  proxy.fault(({ path }) => (path.includes('/manifests/') ? { corruptAt: 19 } : undefined));
  assert.match(String(await through()), /its digest is sha256:\w+, Docker-Content-Digest is/);
  proxy.fault(({ path }) => (path.includes('/blobs/') ? { answer: { status: 404 } } : undefined));
  assert.match(String(await through()), /404/);
});
