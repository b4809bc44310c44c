import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { deleteTag } from '#proto/content/manifests.ts';
import { random as seeded } from '../../support/time/random.ts';
import type { Rig } from '../rig.ts';
import { random } from '../rig.ts';
import { pushBlobs, TwoSides, tagsOf } from './two-sides.ts';

const ROUNDS = 10;
const REPOSITORIES = ['app', 'team/tool'];
const TAGS = ['1', '2', '3'];

type Draw = (below: number) => number;

function drawer(name: string): Draw {
  const seed = Number(process.env.TERRACE_SEED) || Math.floor(Math.random() * 1e6);
  console.log(`${name}: TERRACE_SEED=${seed}`);
  const next = seeded(seed);
  return (below) => Math.floor(next() * below);
}

/** One to four changes of tags. @returns the manifests that were pushed */
async function change(rig: Rig, draw: Draw): Promise<string[]> {
  const pushed: string[] = [];
  for (let count = 1 + draw(4); count > 0; count -= 1) {
    const repository = REPOSITORIES[draw(2)] as string;
    const tag = TAGS[draw(3)] as string;
    const isThere = (await tagsOf(rig, repository))[tag] !== undefined;
    if (isThere && draw(3) === 0) await rig.gateway.call(deleteTag, { repository, tag });
    else pushed.push(await pushBlobs(rig, repository, tag, [random(500 + draw(90_000))]));
  }
  return pushed;
}

/** Does something to the files of the last set. @returns whether it can still be imported */
async function harm(folder: string, name: string, draw: Draw): Promise<boolean> {
  const files = (await readdir(folder)).filter((file) => file.startsWith(name));
  const parts = files.filter((file) => file.endsWith('.tar'));
  const at = (file: string) => join(folder, file);
  switch (draw(6)) {
    case 0:
      for (const file of files) await rm(at(file));
      return false;
    case 1: {
      const file = parts[draw(parts.length)];
      if (file) await rm(at(file));
      return file === undefined;
    }
    case 2: {
      const file = parts[draw(parts.length)];
      if (!file) return true;
      const bytes = await readFile(at(file));
      bytes[draw(bytes.length)] = 255 - (bytes[draw(bytes.length)] as number);
      await writeFile(at(file), bytes);
      return false;
    }
    case 3:
      await truncate(at(`${name}-list.json`), 100);
      return false;
    default:
      return true;
  }
}

async function allTags(rig: Rig): Promise<Record<string, Record<string, string>>> {
  const lists = await Promise.all(REPOSITORIES.map((repository) => tagsOf(rig, repository)));
  return Object.fromEntries(REPOSITORIES.map((repository, at) => [repository, lists[at] ?? {}]));
}

test('one way: after ten rounds of changes and of sets that are lost, doubled, or damaged, both are equal', async () => {
  await using sides = await TwoSides.open();
  const { north, south } = sides;
  const draw = drawer('one way');
  let imported: unknown = await allTags(south);
  for (let round = 0; round < ROUNDS; round += 1) {
    await change(north, draw);
    const parity = draw(2) === 0 ? {} : { parity: 20 };
    const { name } = await sides.export({ partBytes: 70_000, always: true, ...parity });
    await harm(sides.folder, name as string, draw);
    const before = await allTags(south);
    assert.deepEqual(before, imported, 'only an import changes something');
    for (let times = draw(3); times > 0; times -= 1) {
      const { results } = await south.storage.archives
        .import({ folder: sides.folder, keyFiles: [], dryRun: false })
        .catch(() => ({ results: [] }));
      for (const { outcome } of results) {
        if (outcome === 'refused') assert.deepEqual(await allTags(south), imported);
      }
      imported = await allTags(south);
    }
  }
  // What is missing is named, and sent again.
  await sides.export({ since: 0, always: true, partBytes: 70_000 });
  const { outcome, problems } = await sides.import();
  assert.ok(outcome === 'imported', problems.join('\n'));
  assert.deepEqual(await allTags(south), await allTags(north));
  const small = await pushBlobs(north, 'app', 'last', [random(1_000)]);
  const { set } = await sides.export();
  assert.ok(set && set.content === 3 && set.parts === 1, `only the difference: ${JSON.stringify(set)}`);
  await sides.import();
  assert.equal((await tagsOf(south, 'app')).last, small);
});

test('both ways: after ten rounds on both sides by files alone, both are equal and nothing is lost', async () => {
  await using sides = await TwoSides.open();
  const { north, south } = sides;
  const draw = drawer('both ways');
  const boxes = { north: join(sides.folder, 'north'), south: join(sides.folder, 'south') };
  await Promise.all(Object.values(boxes).map((path) => mkdir(path)));
  const parent = {
    side: 'parent',
    mode: 'ReadWrite',
    conflict: () => 'parent-wins' as const,
    arrived: false,
  } as const;
  const child = { ...parent, side: 'child' } as const;
  const exchange = async (from: Rig, always = true) => {
    const [box, rules, into] =
      from === north ? ([boxes.north, child, south] as const) : ([boxes.south, parent, north] as const);
    const { name } = await sides.export({ folder: box, partBytes: 70_000, always }, from);
    const isIntact = draw(3) > 0 ? true : await harm(box, name as string, draw);
    if (draw(4) === 0) return;
    for (let times = 1 + draw(2); times > 0; times -= 1) {
      await into.storage.archives
        .import({ folder: box, keyFiles: [], dryRun: false }, rules)
        .catch((error) => assert.ok(!isIntact, error));
    }
  };
  const live = new Map<string, string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const rig of [north, south]) {
      const before = await allTags(rig);
      await change(rig, draw);
      const after = await allTags(rig);
      for (const repository of REPOSITORIES) {
        for (const [tag, digest] of Object.entries(before[repository] ?? {})) {
          if (after[repository]?.[tag] !== digest) live.delete(`${repository} ${digest}`);
        }
        for (const [tag, digest] of Object.entries(after[repository] ?? {})) {
          if (before[repository]?.[tag] !== digest) live.set(`${repository} ${digest}`, tag);
        }
      }
      await exchange(rig);
    }
  }
  for (let round = 0; round < 4; round += 1) {
    for (const from of [north, south]) {
      const [box, rules, into] =
        from === north ? ([boxes.north, child, south] as const) : ([boxes.south, parent, north] as const);
      await sides.export({ folder: box, always: true }, from);
      await into.storage.archives.import({ folder: box, keyFiles: [], dryRun: false }, rules);
    }
  }
  const tags = await allTags(north);
  assert.deepEqual(await allTags(south), tags);
  const reachable = new Set(
    REPOSITORIES.flatMap((repository) =>
      Object.values(tags[repository] ?? {}).map((digest) => `${repository} ${digest}`),
    ),
  );
  for (const [content, tag] of live) assert.ok(reachable.has(content), `${content} of ${tag} is lost`);
});
