import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestLayer } from '../../test/support/layer.ts';
import { memoryOf } from '../resident.ts';

const SAMPLE_MS = 200;

/**
 * Memory of all processes of a layer, with those that they started, in MB: proportional set sizes, so that pages that
 * processes share count once.
 */
export async function layerMemory(layer: TestLayer): Promise<number> {
  const pids = Object.values(layer.pids());
  let sum = 0;
  for (let at = 0; at < pids.length; at += 1) {
    const pid = pids[at] as number;
    const size = await memoryOf(pid, 'Pss').catch(() => 0);
    // One that ends meanwhile has none.
    sum += Number.isFinite(size) ? size : 0;
    pids.push(...(await childrenOf(pid)));
  }
  return sum;
}

/** The maximum until `end` resolves, in MB. */
export async function highestMemory(layer: TestLayer, end: Promise<unknown>): Promise<number> {
  let highest = 0;
  let isOver = false;
  const stop = () => {
    isOver = true;
  };
  end.then(stop, stop);
  while (!isOver) {
    highest = Math.max(highest, await layerMemory(layer));
    await sleep(SAMPLE_MS);
  }
  return highest;
}

async function childrenOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => ''));
  return (await Promise.all(lists)).flatMap((list) =>
    list
      .split(' ')
      .map(Number)
      .filter((child) => child > 0),
  );
}
