import assert from 'node:assert/strict';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { canonicalJson } from '#proto/archive/canonical-json.ts';
import { listName, setName } from '#proto/archive/set-names.ts';
import { pushBlobs, TwoSides, tagsOf } from '../archive/two-sides.ts';
import { random } from '../rig.ts';
import { ByFolders } from './by-folders.ts';

test('1,500 sets in an inbox are imported in two pages, and all of them deleted', async () => {
  await using by = await ByFolders.open();
  const { north, south } = by;
  const digest = await pushBlobs(north, 'app', '1', [random(1_000)]);
  await by.pass(north);
  await by.carry('north');
  const at = (number: number) => join(by.folder('south-in'), listName(setName('north', 'south', number)));
  const first = JSON.parse(await readFile(at(1), 'utf8'));
  for (let number = 2; number <= 1_500; number += 1) {
    const tag = { tag: `n${number}`, digest, mine: number, theirs: 0 };
    const [repository] = first.repositories;
    const repositories = [{ ...repository, tags: [...repository.tags, tag] }];
    const list = { ...first, number, since: 1, parts: [], content: [], repositories };
    await writeFile(at(number), `${canonicalJson(list)}\n`);
  }
  const { inbox } = await by.pass(south);
  assert.equal(inbox?.failure, undefined, inbox?.failure?.reason);
  assert.equal(inbox?.last?.number, 1_500);
  assert.deepEqual(await tagsOf(south, 'app'), { 1: digest, n1000: digest, n1500: digest });
  assert.deepEqual(await by.files('south-in'), []);
});

/** Five sets in the folder, of which each has something new. */
async function fiveSets(): Promise<TwoSides> {
  const sides = await TwoSides.open();
  for (const tag of ['1', '2', '3', '4', '5']) {
    await pushBlobs(sides.north, 'app', tag, [random(1_000)]);
    await sides.export();
  }
  return sides;
}

const two = { sets: 2, bytes: 1e9 };

test('by hand, pages are imported one after the other, with one result', async () => {
  await using sides = await fiveSets();
  const { archives } = sides.south.storage;
  const query = { folder: sides.folder, keyFiles: [], dryRun: false };
  const examined = await archives.import({ ...query, dryRun: true }, undefined, two);
  assert.match(examined.results[0]?.warnings.join() ?? '', /only the first 2 sets were verified/);
  const { results } = await archives.import(query, undefined, two);
  assert.deepEqual(
    results.map(({ outcome, number, content, tags }) => [outcome, number, content, tags?.moved]),
    [['imported', 5, 15, 5]],
  );
  assert.deepEqual(await tagsOf(sides.south, 'app'), await tagsOf(sides.north, 'app'));
  const again = await archives.import(query, undefined, { sets: 1_000, bytes: 1 });
  assert.deepEqual(
    again.results[0]?.outcome,
    'known',
    'lists beyond the limit of bytes are pages of their own',
  );
});

test('a page that is refused is named, with what was imported before it', async () => {
  await using sides = await fiveSets();
  await truncate(join(sides.folder, 'terrace-north-south-000005-part-001.tar'), 2_000);
  const { results } = await sides.south.storage.archives.import(
    { folder: sides.folder, keyFiles: [], dryRun: false },
    undefined,
    two,
  );
  assert.deepEqual([results[0]?.outcome, results[0]?.number, results[0]?.missing], ['refused', 5, [5]]);
  assert.match(results[0]?.warnings.join() ?? '', /set 4 was imported before it/);
  assert.deepEqual(Object.keys(await tagsOf(sides.south, 'app')), ['1', '2', '3', '4']);
});
