import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestLayer } from '../../test/support/layer.ts';
import type { Comparison, Subject } from '../measure.ts';
import { memoryOf } from '../resident.ts';
import { arrivals, slowDown, startHierarchy } from './layers.ts';
import { pushModel } from './model.ts';

const MIB = 1024 * 1024;
/** A link on which a delta pays, in bytes a second. */
const RATE = 2_000_000;
const SAMPLE_MS = 100;
/** Between two requests to the gateway, in ms; measured for this long without a delta. */
const REQUEST_MS = 20;
const QUIET_MS = 10_000;
const REPOSITORY = 'models/weights';

/** Memory of the syncers of sender and receiver while an update is made and applied, and answers of the gateway. */
export const deltaMemory: Subject = async ({ full, progress }) => {
  const comparisons: Comparison[] = [];
  for (const mib of full ? [100, 4_096] : [100]) {
    await using stack = new AsyncDisposableStack();
    const { layers, links } = await startHierarchy(stack, ['top', 'bottom'], {
      rate: 500 * MIB,
      latency: 0,
    });
    const [top, bottom] = layers as [TestLayer, TestLayer];
    const size = mib * MIB;
    progress(`delta-memory: ${mib} MiB, the first version`);
    const first = arrivals([bottom], 'v1', performance.now());
    await pushModel(top.url, REPOSITORY, { tag: 'v1', size, version: 1 });
    await first;
    await slowDown({ layers, links }, { rate: RATE, latency: 0 });
    await sleep(QUIET_MS);
    const quiet = await answers(top, sleep(QUIET_MS));
    const idle = await Promise.all(layers.map((layer) => syncerMemory(layer)));
    progress(`delta-memory: ${mib} MiB, the update`);
    // Before the tag moves, nothing but the push runs.
    const arrived = arrivals([bottom], 'v2', performance.now());
    await pushModel(top.url, REPOSITORY, { tag: 'v2', size, version: 2 });
    const highest = Promise.all(layers.map((layer) => highestMemory(layer, arrived)));
    const busy = await answers(top, arrived);
    const peaks = await highest;
    const above = peaks.map((peak, at) => peak - (idle[at] as number));
    comparisons.push({
      subject: `memory above idle during an update of ${mib} MiB, of which 5 % changed`,
      unit: 'MB',
      better: 'less',
      values: { sender: [above[0] as number], receiver: [above[1] as number] },
      ratios: false,
    });
    comparisons.push({
      subject: `answers of the sender's gateway during an update of ${mib} MiB, slowest of 100`,
      unit: 'ms',
      better: 'less',
      values: { 'during the update': [slowest(busy)], 'without one': [slowest(quiet)] },
      ratios: false,
    });
  }
  return comparisons;
};

/** Times of requests for a manifest until `end` resolves, in ms. */
async function answers(layer: TestLayer, end: Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let isOver = false;
  void end.then(() => {
    isOver = true;
  });
  while (!isOver) {
    const start = performance.now();
    await (await fetch(`${layer.url}/v2/${REPOSITORY}/manifests/v1`)).arrayBuffer();
    times.push(performance.now() - start);
    await sleep(REQUEST_MS);
  }
  return times;
}

/** The 99th percentile. */
const slowest = (times: readonly number[]): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN;

async function highestMemory(layer: TestLayer, end: Promise<unknown>): Promise<number> {
  let highest = 0;
  let isOver = false;
  void end.then(() => {
    isOver = true;
  });
  while (!isOver) {
    highest = Math.max(highest, await syncerMemory(layer));
    await sleep(SAMPLE_MS);
  }
  return highest;
}

/** Of the syncer and of the processes that it started, in MB. */
async function syncerMemory(layer: TestLayer): Promise<number> {
  const pids = [layer.pid('syncer-1')];
  let sum = 0;
  for (let at = 0; at < pids.length; at += 1) {
    const pid = pids[at] as number;
    sum += await memoryOf(pid, 'RssAnon').catch(() => 0);
    pids.push(...(await childrenOf(pid)));
  }
  return sum;
}

/** A process that ends meanwhile has none. */
async function childrenOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => ''));
  return (await Promise.all(lists)).flatMap((text) =>
    text
      .split(' ')
      .map(Number)
      .filter((child) => child > 0),
  );
}
