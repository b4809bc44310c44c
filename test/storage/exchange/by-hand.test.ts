import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { ImportResult } from '#proto/archive/archives.ts';
import { canonicalJson } from '#proto/archive/canonical-json.ts';
import { getManifest } from '#proto/content/manifests.ts';
import { pushBlobs, tagsOf } from '../archive/two-sides.ts';
import { bytesOf, connectAll, digestOf, Rig, random } from '../rig.ts';
import { ByFolders } from './by-folders.ts';

/** Imports what is in the inbox of a side, as a person does. */
const importByHand = (
  by: ByFolders,
  side: 'north' | 'south',
  more: { newSender?: true; keyFiles?: string[] } = {},
) =>
  by[side].storage.archives.import({ folder: by.folder(`${side}-in`), keyFiles: [], dryRun: false, ...more });

test('by hand, too, only what an exchange grants to its layer is taken, and the field is named', async () => {
  await using by = await ByFolders.open({ north: { repositories: ['line/*'] } });
  const { north, south } = by;
  const mine = await pushBlobs(south, 'line/a', '1', [random(1_000)]);
  const other = await pushBlobs(south, 'plant/b', '1', [random(1_000)]);
  await by.pass(south);
  await by.carry('south');
  const { results } = await importByHand(by, 'north');
  assert.equal(results[0]?.outcome, 'imported');
  assert.match(
    results[0]?.warnings.join() ?? '',
    /1 repository is not taken over \(plant\/b\), as exchanges\.0\.repositories does not grant them: add them there/,
  );
  assert.deepEqual(await tagsOf(north, 'line/a'), { 1: mine });
  await assert.rejects(
    north.gateway.call(getManifest, { repository: 'plant/b', reference: other }),
    /not known/,
  );
  assert.equal((await north.storage.status()).repositories, 1);
});

test('a layer that was replaced is accepted by hand with the same grant, also while no layer runs', async () => {
  await using by = await ByFolders.open({ north: { repositories: ['line/*'] } });
  const { north, south } = by;
  await pushBlobs(south, 'line/a', '1', [random(1_000)]);
  await by.round();
  await by.north.restart();
  const buses = await connectAll();
  const other = await Rig.open(buses, undefined, 'south');
  try {
    other.now += 86_400_000;
    const own = await pushBlobs(other, 'line/c', '1', [random(1_000)]);
    await pushBlobs(other, 'plant/b', '1', [random(1_000)]);
    await by.sides.export({ folder: by.folder('north-in'), target: 'north' }, other);
    const refused = (await importByHand(by, 'north')).results[0];
    assert.match(refused?.problems.join() ?? '', /if south was replaced, import it with --new-sender/);
    const [result] = (await importByHand(by, 'north', { newSender: true })).results;
    assert.equal(result?.outcome, 'imported', result?.problems.join());
    assert.deepEqual(await tagsOf(north, 'line/c'), { 1: own });
    assert.deepEqual(await tagsOf(north, 'plant/b'), {});
  } finally {
    await other[Symbol.asyncDispose]();
    await buses.server[Symbol.asyncDispose]();
  }
});

test('of a layer that may change nothing, a person imports nothing either', async () => {
  await using by = await ByFolders.open({ north: { mode: 'ReadOnly' } });
  await pushBlobs(by.south, 'line/a', '1', [random(1_000)]);
  await by.pass(by.south);
  await by.carry('south');
  const { results } = await importByHand(by, 'north');
  assert.match(results[0]?.warnings.join() ?? '', /as exchanges\.0\.mode is ReadOnly: write ReadWrite there/);
  assert.deepEqual(await tagsOf(by.north, 'line/a'), {});
});

test('of the layer above, a person imports what is selected', async () => {
  await using by = await ByFolders.open({}, 'line/*');
  const digest = await pushBlobs(by.north, 'line/a', '1', [random(1_000)]);
  await pushBlobs(by.north, 'own', '1', [random(1_000)]);
  await by.pass(by.north);
  await by.carry('north');
  const { warnings } = (await importByHand(by, 'south')).results[0] as ImportResult;
  assert.match(warnings.join(), /1 repository is not taken over \(own\): select them in repositories/);
  assert.deepEqual(await tagsOf(by.south, 'line/a'), { 1: digest });
  assert.deepEqual(await tagsOf(by.south, 'own'), {});
});

test('by hand, a set of a layer with keys of its own needs one of them: that of another sender does not do', async () => {
  await using by = await ByFolders.open();
  const file = (name: string) => by.folder(name);
  for (const name of ['own', 'other']) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    await writeFile(file(`${name}.key`), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await writeFile(file(`${name}.pub`), publicKey.export({ type: 'spki', format: 'pem' }));
  }
  await by.configure({ north: { verifyKeyFiles: [file('own.pub')] } });
  const digest = await pushBlobs(by.south, 'line/a', '1', [random(1_000)]);
  const write = (keyFile?: string) =>
    by.sides.export(
      {
        folder: by.folder('north-in'),
        target: 'north',
        always: true,
        ...(keyFile && { keyFile: file(keyFile) }),
      },
      by.south,
    );
  await write();
  assert.match((await importByHand(by, 'north')).unusable.join(), /it is not signed/);
  await by.drop('north-in', 'terrace-south-north-000001-list.json');
  await write('other.key');
  const foreign = await importByHand(by, 'north', { keyFiles: [file('other.pub')] });
  assert.match(
    foreign.unusable.join(),
    /not by a key of exchanges\.0\.verifyKeyFiles: do not import it, or add/,
  );
  assert.deepEqual(foreign.results, []);
  await by.drop('north-in', 'terrace-south-north-000002-list.json');
  await by.south.storage.archives.forget({ target: 'north', number: 1 });
  await by.south.storage.archives.forget({ target: 'north', number: 2 });
  await write('own.key');
  const { results, unusable } = await importByHand(by, 'north');
  assert.deepEqual([results[0]?.outcome, results[0]?.signed, unusable], ['imported', true, []]);
  assert.deepEqual(await tagsOf(by.north, 'line/a'), { 1: digest });
});

test('a child gets no content of other repositories by listing it in a set without having it', async () => {
  await using by = await ByFolders.open({ north: { repositories: ['line/*'] } });
  const { north, south } = by;
  const secret = await north.gateway.pushImage('secret', 'text', { tag: '1' });
  const path = `${by.folder('north-in')}/terrace-south-north-000001-list.json`;
  await south.gateway.pushImage('line/a', 'another', { tag: '1' });
  await by.pass(south);
  await by.carry('south');
  const list = JSON.parse(await readFile(path, 'utf8'));
  for (const digest of [secret, digestOf(bytesOf('text'))]) {
    list.content.push({ digest, size: 10, pieces: [0, 5].map((offset) => ({ part: 0, offset, size: 5 })) });
  }
  await writeFile(path, `${canonicalJson(list)}\n`);
  assert.equal((await by.pass(north)).inbox?.last?.number, 1);
  assert.equal(await south.gateway.pushImage('line/a', 'text', { tag: '2' }), secret);
  await by.pass(south);
  await by.carry('south');
  await by.drop('north-in', 'terrace-south-north-000002-part-001.tar');
  assert.match((await by.pass(north)).inbox?.failure?.reason ?? '', /neither here nor in the folder/);
  assert.deepEqual(Object.keys(await tagsOf(north, 'line/a')), ['1']);
});
