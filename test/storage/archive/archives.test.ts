import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { deleteTag, listLeftOut, listReferrers } from '#proto/content/manifests.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { bytesOf, descriptorOf, digestOf, imageOf, jsonOf, type Rig, random } from '../rig.ts';
import { pushBlobs, TwoSides, tagsOf } from './two-sides.ts';

const run = promisify(execFile);
const SET = 'terrace-north-south-000001';

test('a set brings all tags, and the next one only what changed', async () => {
  await using sides = await TwoSides.open();
  const { north, south } = sides;
  await north.gateway.pushImage('app', 'one', { tag: '1' });
  await north.gateway.pushImage('app', 'two', { tag: '2' });
  const first = await sides.export();
  assert.deepEqual(
    [first.set?.number, first.set?.tags, first.set?.changed, first.set?.content],
    [1, 2, 2, 5],
  );
  assert.deepEqual(await sides.files(), [
    `${SET}-index.json`,
    `${SET}-list.json`,
    `${SET}-part-001.tar`,
    'terrace-target.txt',
  ]);
  const verified = await sides.import({ dryRun: true });
  assert.deepEqual([verified.outcome, verified.content], ['verified', 5]);
  assert.deepEqual(await tagsOf(south, 'app'), {});
  const imported = await sides.import();
  assert.deepEqual([imported.outcome, imported.problems, imported.content], ['imported', [], 5]);
  assert.deepEqual(imported.tags, { moved: 2, deleted: 0, conflicts: 0 });
  assert.deepEqual(await tagsOf(south, 'app'), await tagsOf(north, 'app'));
  assert.deepEqual(
    Buffer.from(await south.gateway.read('app', digestOf(bytesOf('one')))),
    Buffer.from('one'),
  );
  assert.equal((await sides.import()).outcome, 'known');

  assert.deepEqual(await sides.export(), { last: 1 }, 'nothing changed');
  await north.gateway.pushImage('app', 'three', { tag: '2' });
  await north.gateway.call(deleteTag, { repository: 'app', tag: '1' });
  const second = await sides.export();
  assert.deepEqual([second.set?.content, second.set?.changed, second.set?.deleted], [2, 1, 1]);
  assert.deepEqual((await sides.import()).tags, { moved: 1, deleted: 1, conflicts: 0 });
  assert.deepEqual(await tagsOf(south, 'app'), await tagsOf(north, 'app'));
  assert.deepEqual(
    south.events.flatMap(([type, data]) =>
      type === 'archive.imported' ? (data as { number: number }).number : [],
    ),
    [1, 2],
  );
});

test('signatures, sparse indexes and images of other repositories come along', async () => {
  await using sides = await TwoSides.open();
  const { north, south } = sides;
  await north.gateway.pushImage('team/app', 'one', { tag: 'v1' });
  const image = descriptorOf(jsonOf(imageOf('one')), mediaTypes.ociManifest);
  await north.gateway.push('team/app', bytesOf('signature'));
  const signature = imageOf('signature', { subject: image, artifactType: 'application/x.signature' });
  const signer = await north.gateway.pushManifest('team/app', signature);
  const absent = {
    ...descriptorOf(bytesOf('not here'), mediaTypes.ociManifest),
    platform: { os: 'linux', architecture: 'arm64' },
  };
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [image, absent] };
  const leftOut = [{ digest: absent.digest, platform: 'linux/arm64' }];
  await north.gateway.pushManifest('team/app', index, {
    tag: 'all',
    mediaType: mediaTypes.ociIndex,
    leftOut,
  });
  await north.gateway.pushImage('other', 'one', { tag: 'v1' });
  await sides.export({ repositories: ['team/*'] });
  assert.equal((await sides.import()).outcome, 'imported');
  assert.deepEqual(await tagsOf(south, 'team/app'), await tagsOf(north, 'team/app'));
  assert.deepEqual(await tagsOf(south, 'other'), {}, 'it is not selected');
  const { descriptors } = await south.gateway.call(listReferrers, {
    repository: 'team/app',
    digest: image.digest,
    limit: 10,
  });
  assert.deepEqual(
    descriptors.map(({ digest, artifactType }) => [digest, artifactType]),
    [[signer, 'application/x.signature']],
  );
  const listed = await south.syncer.call(listLeftOut, { repository: 'team/app', limit: 10 });
  assert.deepEqual(
    listed.leftOut.map(({ digest, platform }) => [digest, platform]),
    [[absent.digest, 'linux/arm64']],
  );

  await sides.export({ repositories: ['*'] });
  const { content, tags } = await sides.import();
  assert.deepEqual([content, tags?.moved], [0, 1], 'its content is there already');
  assert.deepEqual(await tagsOf(south, 'other'), await tagsOf(north, 'other'));
});

test('skopeo reads a part, and all parts unpacked into one folder', async () => {
  await using sides = await TwoSides.open();
  await sides.north.gateway.pushImage('team/app', 'one', { tag: 'v1' });
  await pushBlobs(sides.north, 'big', '2', [random(150_000), random(60_000)]);
  await sides.export({ partBytes: 65_536 });
  const work = await mkdtemp(join(tmpdir(), 'terrace-layout-'));
  try {
    const files = await sides.files();
    const parts = files.filter((name) => name.endsWith('.tar')).map((name) => join(sides.folder, name));
    assert.ok(parts.length >= 4, String(parts));
    const indexes = await Promise.all(parts.map((part) => run('tar', ['-xOf', part, 'index.json'])));
    const part = parts[indexes.findIndex(({ stdout }) => stdout.includes('team/app:v1'))];
    await run('skopeo', ['copy', `oci-archive:${part}:team/app:v1`, `dir:${join(work, 'a')}`]);
    assert.deepEqual(await readFile(join(work, 'a/manifest.json')), Buffer.from(jsonOf(imageOf('one'))));
    const layout = join(work, 'layout');
    await mkdir(layout);
    for (const each of parts) await run('tar', ['-xf', each, '-C', layout]);
    await writeFile(join(layout, 'index.json'), await readFile(join(sides.folder, `${SET}-index.json`)));
    const digest = (await tagsOf(sides.north, 'big'))['2'] as string;
    const manifest = JSON.parse((await readFile(join(layout, 'blobs/sha256', digest.slice(7)))).toString());
    const large = join(layout, 'blobs/sha256', manifest.layers[0].digest.slice(7));
    await run('sh', ['-c', `cat ${large}.[0-9]* > ${large}`]);
    await run('skopeo', ['copy', `oci:${layout}:big:2`, `dir:${join(work, 'b')}`]);
    await run('skopeo', ['copy', `oci:${layout}:team/app:v1`, `dir:${join(work, 'c')}`]);
  } finally {
    await rm(work, { recursive: true });
  }
  assert.equal((await sides.import()).outcome, 'imported');
  assert.deepEqual(await tagsOf(sides.south, 'big'), await tagsOf(sides.north, 'big'));
});

test('the same content makes the same parts', async () => {
  await using sides = await TwoSides.open();
  await pushBlobs(sides.north, 'app', '1', [random(50_000), random(50_000)]);
  await sides.export({ target: 'a', partBytes: 66_000 });
  await sides.export({ target: 'b', partBytes: 66_000 });
  for (const part of ['part-001.tar', 'part-002.tar', 'index.json']) {
    const [a, b] = await Promise.all(
      ['a', 'b'].map((target) => readFile(join(sides.folder, `terrace-north-${target}-000001-${part}`))),
    );
    assert.deepEqual(a, b);
  }
});

test('with a key, only sets that it signed are imported', async () => {
  await using sides = await TwoSides.open();
  const [own, other] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
  const file = (name: string) => join(sides.folder, name);
  await writeFile(file('own.key'), own.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await writeFile(file('own.pub'), own.publicKey.export({ type: 'spki', format: 'pem' }));
  await writeFile(file('other.pub'), other.publicKey.export({ type: 'spki', format: 'pem' }));
  await sides.north.gateway.pushImage('app', 'one', { tag: '1' });
  await assert.rejects(sides.export({ keyFile: file('none') }), /none can't be read/);
  await sides.export({ keyFile: file('own.key') });
  const { archives } = sides.south.storage;
  const imported = (keyFiles: string[]) =>
    archives.import({ folder: sides.folder, keyFiles: keyFiles.map(file), dryRun: false });
  const refused = await imported(['other.pub']);
  assert.deepEqual(refused.results, []);
  assert.match(refused.unusable.join(), /its signature is not by a key that is trusted here/);
  const { results } = await imported(['other.pub', 'own.pub']);
  assert.deepEqual(
    results.map(({ outcome, signed, warnings }) => [outcome, signed, warnings]),
    [['imported', true, []]],
  );
  await sides.north.gateway.pushImage('app', 'two', { tag: '1' });
  await sides.export();
  const unsigned = await imported(['own.pub']);
  assert.match(unsigned.unusable.join(), /000002-list\.json can't be used: it is not signed/);
  assert.match((await sides.import()).warnings.join(), /no key is configured/);
});

const conflicts: ['parent-wins' | 'layer-wins', (texts: string[]) => [string, string]][] = [
  ['parent-wins', ([there = '', here = '']) => [there, here]],
  ['layer-wins', ([there = '', here = '']) => [here, there]],
];
for (const [conflict, order] of conflicts) {
  test(`${conflict}: of a tag that both sides changed, the other content stays under a conflict tag`, async () => {
    await using sides = await TwoSides.open();
    const push = (rig: Rig, text: string) => rig.gateway.pushImage('app', text, { tag: '1' });
    await push(sides.north, 'one');
    await sides.export();
    await sides.import();
    const there = await push(sides.north, 'there');
    const here = await push(sides.south, 'here');
    await sides.export();
    assert.deepEqual((await sides.import({ conflict })).tags?.conflicts, 1);
    const [winner, loser] = order([there, here]);
    const owner = conflict === 'parent-wins' ? 'south' : 'north';
    const tags = { '1': winner, [`1.conflict-${owner}-${loser.slice(7, 19)}`]: loser };
    assert.deepEqual(await tagsOf(sides.south, 'app'), tags);
    await sides.export({ always: true });
    assert.deepEqual((await sides.import({ conflict })).tags, { moved: 0, deleted: 0, conflicts: 0 });
    assert.deepEqual(await tagsOf(sides.south, 'app'), tags);
  });
}

test('what was changed here since the last set stays, and is deleted only if it was not changed', async () => {
  await using sides = await TwoSides.open();
  for (const tag of ['a', 'b', 'c']) await sides.north.gateway.pushImage('app', tag, { tag });
  await sides.export();
  await sides.import();
  const mine = await sides.south.gateway.pushImage('app', 'mine', { tag: 'a' });
  const own = await sides.south.gateway.pushImage('app', 'own', { tag: 'own' });
  await sides.south.gateway.call(deleteTag, { repository: 'app', tag: 'c' });
  for (const tag of ['a', 'b']) await sides.north.gateway.call(deleteTag, { repository: 'app', tag });
  await sides.export();
  assert.deepEqual((await sides.import()).tags, { moved: 0, deleted: 1, conflicts: 0 });
  assert.deepEqual(await tagsOf(sides.south, 'app'), { a: mine, own });
});

test('content that is damaged here is named, and no set is written', async () => {
  await using sides = await TwoSides.open();
  await sides.north.gateway.pushImage('app', 'one', { tag: '1' });
  const hex = digestOf(bytesOf('one')).slice(7);
  const path = join(sides.north.data, 'blobs/sha256', hex.slice(0, 2), hex);
  await rm(path);
  await writeFile(path, 'two');
  await assert.rejects(sides.export(), new RegExp(`${hex} is damaged`));
  assert.ok(!(await sides.files()).some((name) => name.includes('list')));
});

test('keys of the configuration count for each import, also while no layer runs', async () => {
  await using sides = await TwoSides.open();
  const key = generateKeyPairSync('ed25519');
  const file = join(sides.folder, 'trusted.pub');
  await writeFile(file, key.publicKey.export({ type: 'spki', format: 'pem' }));
  await sides.north.gateway.pushImage('app', 'one', { tag: '1' });
  await sides.export();
  await sides.south.storage.archives.configure({ archive: { keyFiles: [file] } });
  await sides.south.restart();
  const { archives } = sides.south.storage;
  const query = { folder: sides.folder, keyFiles: [], dryRun: false };
  assert.match((await archives.import(query)).unusable.join(), /it is not signed/);
  await archives.configure({});
  assert.equal((await archives.import(query)).results[0]?.outcome, 'imported');
});

test('with platforms, other children of an index are left out, and come with a later set without', async () => {
  await using sides = await TwoSides.open();
  const { north, south } = sides;
  const children = ['amd64', 'arm64'].map((architecture) => ({
    ...descriptorOf(jsonOf(imageOf(architecture)), mediaTypes.ociManifest),
    platform: { os: 'linux', architecture },
  }));
  for (const architecture of ['amd64', 'arm64']) await north.gateway.pushImage('app', architecture);
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: children };
  await north.gateway.pushManifest('app', index, { tag: 'all', mediaType: mediaTypes.ociIndex });
  await sides.export({ platforms: ['linux/arm64'] });
  assert.equal((await sides.import()).content, 4);
  const leftOut = async () => {
    const listed = await south.syncer.call(listLeftOut, { repository: 'app', limit: 10 });
    return listed.leftOut.map(({ digest, platform }) => [digest, platform]);
  };
  assert.deepEqual(await leftOut(), [[children[0]?.digest, 'linux/amd64']]);
  await sides.export();
  assert.deepEqual((await sides.import()).content, 2);
  assert.deepEqual(await leftOut(), []);
  assert.deepEqual(await tagsOf(south, 'app'), await tagsOf(north, 'app'));
});

const oras = await run('oras', ['version']).catch(() => undefined);

test('oras reads a part', { skip: oras ? false : 'oras is not installed' }, async () => {
  await using sides = await TwoSides.open();
  await sides.north.gateway.pushImage('team/app', 'one', { tag: 'v1' });
  await sides.export();
  const part = join(sides.folder, `${SET}-part-001.tar`);
  const copy = join(sides.folder, 'copy');
  await run('oras', ['copy', '--from-oci-layout-path', part, 'team/app:v1', '--to-oci-layout', `${copy}:v1`]);
  const hex = digestOf(jsonOf(imageOf('one'))).slice(7);
  assert.deepEqual(await readFile(join(copy, 'blobs/sha256', hex)), Buffer.from(jsonOf(imageOf('one'))));
});
