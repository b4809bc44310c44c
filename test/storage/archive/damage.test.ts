import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fault, random } from '../rig.ts';
import { pushBlobs, TwoSides, tagsOf } from './two-sides.ts';

const part = (number: number, index: number) => `terrace-north-south-00000${number}-part-00${index}.tar`;
const list = (number: number) => `terrace-north-south-00000${number}-list.json`;

/** Three parts. */
async function exported(): Promise<TwoSides & { tags: Record<string, string> }> {
  const sides = await TwoSides.open();
  await pushBlobs(sides.north, 'app', '1', [random(60_000), random(60_000), random(60_000)]);
  await sides.export({ partBytes: 66_000 });
  return Object.assign(sides, { tags: await tagsOf(sides.north, 'app') });
}

const damages: [string, (folder: string) => Promise<unknown>, RegExp][] = [
  ['missing', (folder) => rm(join(folder, part(1, 2))), /part-002\.tar is missing/],
  [
    'cut off',
    (folder) => truncate(join(folder, part(1, 3)), 5_000),
    /part-003\.tar is damaged: it has 5000 bytes/,
  ],
  [
    'changed',
    async (folder) => {
      const path = join(folder, part(1, 2));
      const bytes = await readFile(path);
      bytes[30_000] = (bytes[30_000] as number) ^ 1;
      await writeFile(path, bytes);
    },
    /part-002\.tar is damaged: it has another digest/,
  ],
  [
    'a folder',
    async (folder) => {
      await rm(join(folder, part(1, 2)));

      await mkdir(join(folder, part(1, 2)));
    },
    /part-002\.tar is not a file/,
  ],
  [
    'swapped with another one',
    async (folder) => {
      await rename(join(folder, part(1, 1)), join(folder, 'x'));
      await rename(join(folder, part(1, 2)), join(folder, part(1, 1)));
      await rename(join(folder, 'x'), join(folder, part(1, 2)));
    },
    /part-001\.tar is damaged/,
  ],
];

for (const [what, damage, expected] of damages) {
  test(`a part that is ${what} is named, and nothing changes`, async () => {
    await using sides = await exported();
    await damage(sides.folder);
    const { outcome, problems, missing } = await sides.import();
    assert.equal(outcome, 'refused');
    assert.match(problems.join('\n'), expected);
    assert.match(problems.join('\n'), /"terrace export --to FOLDER --target south --since 0"/);
    assert.deepEqual(missing, [1]);
    assert.deepEqual(await tagsOf(sides.south, 'app'), {});
    assert.equal((await sides.south.storage.status()).blobs, 0);
  });
}

test('a list that is damaged is named, and nothing changes', async () => {
  await using sides = await exported();
  await truncate(join(sides.folder, list(1)), 500);
  const archives = sides.south.storage.archives;
  const { results, unusable } = await archives.import({ folder: sides.folder, keyFiles: [], dryRun: false });
  assert.deepEqual(results, []);
  assert.match(unusable.join(), /000001-list\.json can't be used: it is not JSON/);
});

test('a folder without a set, or that does not exist, is refused with a remedy', async () => {
  await using sides = await TwoSides.open();
  await assert.rejects(sides.import(), fault('archive-invalid'));
  await assert.rejects(
    sides.import({ folder: '/does/not/exist' }),
    /does not exist|can't be read \(ENOENT\)/,
  );
  await assert.rejects(sides.export({ folder: '/does/not/exist' }), /does not exist: mount the disk/);
});

test('a lost set only delays: the next one is refused if it needs it, and taken if it does not', async () => {
  await using sides = await exported();
  await sides.import();
  await pushBlobs(sides.north, 'app', '2', [random(1_000)]);
  const two = await sides.export();
  assert.equal(two.set?.number, 2);
  for (const name of await sides.files()) {
    if (name.includes('-000002-')) await rm(join(sides.folder, name));
  }
  await pushBlobs(sides.north, 'app', '3', [random(1_000)]);
  await sides.export();
  const refused = await sides.import();
  assert.deepEqual([refused.outcome, refused.missing], ['refused', [2]]);
  assert.match(
    refused.problems.join('\n'),
    /"terrace export .* --since 1" at north, which sends what set 2 had again/,
  );
  assert.deepEqual(await tagsOf(sides.south, 'app'), sides.tags);

  await sides.north.storage.archives.forget({ target: 'south', number: 2 });
  const four = await sides.export();
  assert.deepEqual([four.set?.number, four.set?.content], [4, 3], 'what set 2 had');
  assert.equal((await sides.import()).outcome, 'imported');
  assert.deepEqual(await tagsOf(sides.south, 'app'), await tagsOf(sides.north, 'app'));
});

test('an older set is named, and changes nothing', async () => {
  await using sides = await exported();
  await pushBlobs(sides.north, 'app', '1', [random(1_000)]);
  await sides.export();
  await sides.import();
  const after = await tagsOf(sides.south, 'app');
  for (const name of await sides.files()) {
    if (name.includes('-000002-')) await rm(join(sides.folder, name));
  }
  const { outcome, warnings } = await sides.import();
  assert.equal(outcome, 'known');
  assert.match(warnings.join('\n'), /set 1 is older than set 2/);
  assert.deepEqual(await tagsOf(sides.south, 'app'), after);
});

test('a bad part does not matter if another set in the folder has the same content', async () => {
  await using sides = await exported();
  await sides.export({ since: 0, always: true, partBytes: 66_000 });
  await rm(join(sides.folder, part(2, 2)));
  const { outcome, warnings } = await sides.import();
  assert.equal(outcome, 'imported');
  assert.match(
    warnings.join('\n'),
    /000002-part-002\.tar is missing; everything in it is here already, or in another set/,
  );
  assert.deepEqual(await tagsOf(sides.south, 'app'), sides.tags);
});

test('a set under another name than its own is refused', async () => {
  await using sides = await exported();
  await copyFile(join(sides.folder, list(1)), join(sides.folder, list(2)));
  const archives = sides.south.storage.archives;
  const { unusable } = await archives.import({ folder: sides.folder, keyFiles: [], dryRun: true });
  assert.match(unusable.join(), /000002-list\.json can't be used: it is of another set/);
});
