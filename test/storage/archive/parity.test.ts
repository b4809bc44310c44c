import assert from 'node:assert/strict';
import { appendFile, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ArchiveList, readList } from '#proto/archive/list.ts';
import { ArchiveRun } from '../../../services/storage/archive/book/archive-run.ts';
import { rebuildParts } from '../../../services/storage/archive/parity/rebuild-parts.ts';
import { random } from '../rig.ts';
import { pushBlobs, TwoSides, tagsOf } from './two-sides.ts';

const SET = 'terrace-north-south-000001';

/** Six parts, and parity. */
async function exported(parity: number): Promise<TwoSides> {
  const sides = await TwoSides.open();
  for (let image = 0; image < 6; image += 1) {
    await pushBlobs(sides.north, 'app', String(image), [random(55_000)]);
  }
  const { set } = await sides.export({ partBytes: 65_536, parity });
  assert.ok(set && set.parts === 6 && set.parity > 0, JSON.stringify(set));
  return sides;
}

const file = (sides: TwoSides, name: string) => join(sides.folder, `${SET}-${name}`);

/** Changes one byte. */
async function flip(path: string, position: number): Promise<void> {
  await using handle = await open(path, 'r+');
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, position);
  await handle.write(Buffer.from([255 - (buffer[0] as number)]), 0, 1, position);
}

const jobOf = (sides: TwoSides, list: ArchiveList, run: ArchiveRun) => ({
  list,
  run,
  partPath: (part: number) => file(sides, `part-00${part + 1}.tar`),
  parityPath: (one: number) => file(sides, `parity-00${one + 1}.bin`),
  newPath: (part: number) => join(sides.folder, `new-${part}`),
});

async function mustBringAll(sides: TwoSides, expected: RegExp): Promise<void> {
  const { outcome, problems, warnings } = await sides.import();
  assert.equal(outcome, 'imported', problems.join('\n'));
  assert.match(warnings.join('\n'), expected);
  assert.deepEqual(await tagsOf(sides.south, 'app'), await tagsOf(sides.north, 'app'));
  assert.deepEqual(await readdir(join(sides.south.data, 'ingest')), []);
}

test('a part that is missing is computed again', async () => {
  await using sides = await exported(20);
  await rm(file(sides, 'part-003.tar'));
  await mustBringAll(sides, /part-003\.tar is missing or damaged, and was computed again from parity/);
});

test('bytes that are damaged in several parts and in the parity are computed again', async () => {
  await using sides = await exported(10);
  for (const [part, position] of [
    ['part-001.tar', 700],
    ['part-002.tar', 40_000],
    ['part-006.tar', 30_001],
  ] as const) {
    await flip(file(sides, part), position);
  }
  await flip(file(sides, 'parity-001.bin'), 5);
  await mustBringAll(sides, /part-001\.tar.*\n.*part-002\.tar.*\n.*part-006\.tar/);
});

test('a part that lost the zeros at its end, and one that goes on after it, are computed again', async () => {
  await using sides = await exported(20);
  const [short, long] = [file(sides, 'part-002.tar'), file(sides, 'part-005.tar')];
  await truncate(short, (await stat(short)).size - 600);
  await appendFile(long, 'more');
  await mustBringAll(sides, /part-002\.tar.*\n.*part-005\.tar/);
});

test('a slice that is larger than its file is bad at once', async () => {
  await using sides = await exported(20);
  const list = readList(await readFile(file(sides, 'list.json')));
  const sliceBytes = 2 ** 50;
  const digest = list.parts[0]?.digest as string;
  const hostile: ArchiveList = {
    ...list,
    parts: list.parts.slice(0, 1),
    parity: { sliceBytes, slices: [digest], parity: [digest], files: [{ size: sliceBytes }] },
  };
  await writeFile(file(sides, 'parity-001.bin'), 'x');
  await rm(file(sides, 'part-001.tar'));
  assert.equal(await rebuildParts(jobOf(sides, hostile, new ArchiveRun())), undefined);
});

test('parts that were not computed to their end are deleted', async () => {
  await using sides = await exported(20);
  const list = readList(await readFile(file(sides, 'list.json')));
  await rm(file(sides, 'part-003.tar'));
  class Stopped extends ArchiveRun {
    override add(bytes: number): void {
      if (this.progress.step === 'rebuilding parts') this.stop();
      super.add(bytes);
    }
  }
  await assert.rejects(rebuildParts(jobOf(sides, list, new Stopped())), /it was stopped/);
  assert.ok(!(await sides.files()).some((name) => name.startsWith('new-')));
});

test('more than the parity has room for is refused, and named', async () => {
  await using sides = await exported(10);
  await rm(file(sides, 'part-003.tar'));
  await rm(file(sides, 'part-004.tar'));
  const { outcome, problems, missing } = await sides.import();
  assert.deepEqual([outcome, missing], ['refused', [1]]);
  assert.match(problems.join('\n'), /part-003\.tar is missing\n.*part-004\.tar is missing/);
  assert.deepEqual(await tagsOf(sides.south, 'app'), {});
});
