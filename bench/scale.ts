import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectGarbage } from '#proto/content/maintenance.ts';
import { type PassResult, passFinished } from '#proto/sync/passes.ts';
import { type TestLayer, testLayer } from '../test/support/layer.ts';
import { cpuSeconds } from './cpu-seconds.ts';
import { type Filling, fillVolume } from './filled-volume.ts';
import type { Comparison, Subject } from './measure.ts';
import { memoryOf } from './resident.ts';
import { TemporaryFolder } from './temporary-folder.ts';
import { type Cost, costOf } from './work-cost.ts';

/** Layers of an image. With its manifest and its config, it has ten blobs. */
const LAYERS = 8;
/** Numbers of images, each with a tag; without the last number, if content is small. */
const FILLED = [1_000, 10_000, 100_000];
const COMPARED = [100, 1_000, 10_000];
/** Of one layer each. */
const TRANSFERRED = [100, 1_000, 10_000];
/** Grace of garbage collection: right after a start, everything is protected. */
const GRACE_MS = 1_000;

/** Rows of a table: one for each size, by the name of the size. */
class Table {
  readonly comparisons: Comparison[] = [];

  add(size: string, rows: Record<string, [value: number, unit: string]>): void {
    for (const [subject, [value, unit]] of Object.entries(rows)) {
      let comparison = this.comparisons.find((each) => each.subject === subject);
      if (!comparison) {
        comparison = { subject, unit, better: 'less', values: {}, ratios: false };
        this.comparisons.push(comparison);
      }
      comparison.values[size] = [value];
    }
  }
}

/** Whether start, memory, garbage collection and passes grow with the content, and how steeply. One round. */
export const scale: Subject = async ({ full, progress }) => {
  const table = new Table();
  for (const images of full ? FILLED : FILLED.slice(0, -1)) await measureFilled(images, table, progress);
  for (const images of full ? COMPARED : COMPARED.slice(0, -1)) await measurePasses(images, table, progress);
  for (const images of full ? TRANSFERRED : TRANSFERRED.slice(0, -1))
    await measureTransfers(images, table, progress);
  return table.comparisons;
};

type Progress = (line: string) => void;

const sizeOf = (images: number) => `${images * (LAYERS + 2)} blobs, ${images} tags`;

/** Fills the folder of a layer. An empty layer first: its folder has an identity then. */
async function fill(data: string, filling: Filling): Promise<void> {
  await (await testLayer({ name: 'bench', data, logLevel: 'warn' }))[Symbol.asyncDispose]();
  await fillVolume(data, filling);
}

/** Start and garbage collection. */
async function measureFilled(images: number, table: Table, progress: Progress): Promise<void> {
  await using folder = await TemporaryFolder.create();
  const size = sizeOf(images);
  progress(`scale: filling a layer with ${size}`);
  const data = join(folder.path, 'data');
  await fill(data, { images, layers: LAYERS });
  const configFile = join(folder.path, 'terrace.yaml');
  await writeFile(configFile, `garbageCollection: { grace: PT${GRACE_MS / 1_000}S }\n`);
  progress(`scale: a start with ${size}`);
  await using layer = await testLayer({ name: 'bench', data, configFile, logLevel: 'warn' });
  const storage = layer.pid('storage');
  table.add(size, {
    'start of storage, CPU time until it serves': [await cpuSeconds([storage]), 's'],
    'memory of storage after the start': [await memoryOf(storage, 'RssAnon'), 'MB'],
  });
  await sleep(GRACE_MS);
  progress(`scale: garbage collection with ${size}`);
  const collecting = await costOf(storage, () => layer.bus().call(collectGarbage, { dryRun: false }));
  table.add(size, rowsOf('garbage collection', 'storage', collecting));
}

/** Passes between two layers that have the same content already. */
async function measurePasses(images: number, table: Table, progress: Progress): Promise<void> {
  await using folder = await TemporaryFolder.create();
  const size = sizeOf(images);
  progress(`scale: filling two layers with ${size}`);
  const [top, bottom] = [join(folder.path, 'top'), join(folder.path, 'bottom')];
  for (const data of [top, bottom]) await fill(data, { images, layers: LAYERS });
  await using parent = await testLayer({ name: 'top', data: top, logLevel: 'warn' });
  await using child = await testLayer({ name: 'bench', data: bottom, parent: parent.url, logLevel: 'warn' });
  for (const pass of ['pass that compares everything', 'pass without changes']) {
    progress(`scale: ${pass}, ${size}`);
    table.add(size, await passRows(pass, child));
  }
}

/** An empty layer that takes all images of the one above. */
async function measureTransfers(images: number, table: Table, progress: Progress): Promise<void> {
  await using folder = await TemporaryFolder.create();
  const data = join(folder.path, 'top');
  progress(`scale: filling a layer with ${images} images`);
  await fill(data, { images, layers: 1, allFiles: true });
  await using parent = await testLayer({ name: 'top', data, logLevel: 'warn' });
  await using child = await testLayer({ name: 'bench', parent: parent.url, logLevel: 'warn' });
  progress(`scale: the first pass of ${images} images`);
  // A layer makes its first pass by itself: `sync` waits for its end, and makes another one.
  const rows = await passRows('first pass', child);
  const passes = child.events.filter(({ type }) => type === `terrace.${passFinished.type}`);
  const results = passes.map(({ data }) => data as PassResult);
  const taken = results.reduce((sum, result) => sum + result.taken, 0);
  if (taken !== images) throw new Error(`the first pass took ${taken} images`);
  const seconds = results.reduce((sum, { ms }) => sum + ms, 0) / 1_000;
  table.add(`${images} images of three blobs`, { ...rows, 'first pass: time': [seconds, 's'] });
}

async function passRows(pass: string, child: TestLayer) {
  let storage: Promise<Cost> | undefined;
  const syncer = await costOf(child.pid('syncer-1'), () => {
    storage = costOf(child.pid('storage'), async () => {
      const { ok, failures } = await child.sync();
      if (!ok) throw new Error(`${pass}: ${JSON.stringify(failures)}`);
    });
    return storage;
  });
  const { cpu, memory } = (await storage) as Cost;
  return {
    ...rowsOf(pass, 'the syncer', syncer),
    [`${pass}: CPU time of storage`]: [cpu, 's'],
    [`${pass}: highest memory of storage`]: [memory, 'MB'],
  } as Record<string, [number, string]>;
}

const rowsOf = (
  work: string,
  name: string,
  { seconds, cpu, memory }: Cost,
): Record<string, [number, string]> => ({
  [`${work}: time`]: [seconds, 's'],
  [`${work}: CPU time of ${name}`]: [cpu, 's'],
  [`${work}: highest memory of ${name}`]: [memory, 'MB'],
});
