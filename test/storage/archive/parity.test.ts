import assert from 'node:assert/strict';
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
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

test('more than the parity has room for is refused, and named', async () => {
  await using sides = await exported(10);
  await rm(file(sides, 'part-003.tar'));
  await rm(file(sides, 'part-004.tar'));
  const { outcome, problems, missing } = await sides.import();
  assert.deepEqual([outcome, missing], ['refused', [1]]);
  assert.match(problems.join('\n'), /part-003\.tar is missing\n.*part-004\.tar is missing/);
  assert.deepEqual(await tagsOf(sides.south, 'app'), {});
});
