import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import type { ArchiveList, Parity } from '#proto/archive/list.ts';
import { addProduct, type Recipe, recipesFor } from '#proto/archive/reed-solomon.ts';
import { type Slice, slicesOf } from '#proto/archive/slices.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import { COLUMN_BYTES, OpenSlices, parityRanges, rangesOf, type SliceRange } from './slice-files.ts';

export type RebuildJob = {
  list: ArchiveList;
  /** Where its parts and parity files should be. */
  partPath: (part: number) => string;
  parityPath: (file: number) => string;
  /** Path of a new file for a part that is computed again. */
  newPath: (part: number) => string;
  run: ArchiveRun;
};

/**
 * Computes the parts again that have bad slices, each into a file of its own.
 * @returns paths by part; undefined if more slices are bad than there are good parity slices
 */
export async function rebuildParts(job: RebuildJob): Promise<Map<number, string> | undefined> {
  const { list, run } = job;
  const { parity } = list;
  if (!parity) return undefined;
  const sizes = list.parts.map(({ size }) => size);
  const slices = slicesOf(sizes, parity.sliceBytes);
  const ranges = rangesOf(slices, job.partPath);
  run.begin(
    'looking for bad slices',
    sizes.reduce((sum, size) => sum + size, 0),
  );
  await using input = new OpenSlices();
  const bad = await badSlices(input, ranges, parity.slices, run);
  const checks = parityRanges(parity, job.parityPath);
  const badParity = new Set(await badSlices(input, checks, parity.parity, run));
  const good = checks.map((_, index) => index).filter((index) => !badParity.has(index));
  const recipes = recipesFor(slices.length, bad, good);
  if (!recipes) return undefined;
  const rebuilt = new Map<number, string>();
  const parts = new Set(bad.map((slice) => (slices[slice] as Slice).part));
  // All slices of a file that goes on after its end are good.
  for (const [part, size] of sizes.entries()) {
    const actual = await input.sizeOf(job.partPath(part)).catch(() => undefined);
    if (actual !== size) parts.add(part);
  }
  run.begin(
    'rebuilding parts',
    [...parts].reduce((sum, part) => sum + (sizes[part] as number), 0),
  );
  for (const part of parts) {
    const path = job.newPath(part);
    rebuilt.set(part, path);
    try {
      await rebuildPart(input, { part, path, slices, ranges, checks, recipes, parity, run });
    } catch (error) {
      for (const one of rebuilt.values()) await rm(one, { force: true });
      throw error;
    }
  }
  return rebuilt;
}

/** Slices whose bytes are missing, also in part, or have another digest than expected. */
async function badSlices(
  input: OpenSlices,
  ranges: readonly SliceRange[],
  digests: readonly string[],
  run: ArchiveRun,
): Promise<number[]> {
  const buffer = new Uint8Array(COLUMN_BYTES);
  const bad: number[] = [];
  for (const [index, range] of ranges.entries()) {
    const hash = createHash('sha256');
    try {
      if ((await input.sizeOf(range.path)) < range.offset + range.size) {
        bad.push(index);
        continue;
      }
      for (let column = 0; column < range.size; column += COLUMN_BYTES) {
        const width = Math.min(COLUMN_BYTES, range.size - column);
        await input.read(range, column, buffer.subarray(0, width));
        hash.update(buffer.subarray(0, width));
        run.add(width);
      }
      if (`sha256:${hash.digest('hex')}` === digests[index]) continue;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
    bad.push(index);
  }
  return bad;
}

type PartJob = {
  part: number;
  path: string;
  slices: readonly Slice[];
  ranges: readonly SliceRange[];
  checks: readonly SliceRange[];
  recipes: ReadonlyMap<number, Recipe>;
  parity: Parity;
  run: ArchiveRun;
};

async function rebuildPart(input: OpenSlices, job: PartJob): Promise<void> {
  const { part, path, slices, ranges, recipes, run } = job;
  await using file = await open(path, 'wx', 0o600);
  const sum = new Uint8Array(COLUMN_BYTES);
  for (const [index, slice] of slices.entries()) {
    if (slice.part !== part) continue;
    const recipe = recipes.get(index);
    for (let column = 0; column < slice.size; column += COLUMN_BYTES) {
      const width = Math.min(COLUMN_BYTES, job.parity.sliceBytes - column);
      const bytes = sum.subarray(0, width);
      if (recipe) await compute(input, recipe, column, bytes, job);
      else await input.read(ranges[index] as SliceRange, column, bytes);
      const own = Math.min(width, slice.size - column);
      await file.write(bytes.subarray(0, own), 0, own, slice.offset + column);
      run.add(own);
    }
  }
}

/** A column of a lost slice: the sum of the columns of its recipe. */
async function compute(
  input: OpenSlices,
  { data, parity }: Recipe,
  column: number,
  sum: Uint8Array,
  { ranges, checks }: PartJob,
): Promise<void> {
  const source = new Uint8Array(sum.byteLength);
  sum.fill(0);
  for (const [list, terms] of [
    [ranges, data],
    [checks, parity],
  ] as const) {
    for (const [slice, factor] of terms) {
      await input.read(list[slice] as SliceRange, column, source);
      addProduct(sum, source, factor);
    }
  }
}
