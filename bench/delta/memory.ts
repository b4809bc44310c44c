import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deltaMade } from '#proto/sync/delta-jobs.ts';
import type { TestLayer } from '../../test/support/layer.ts';
import type { Comparison, Subject } from '../measure.ts';
import { TemporaryFolder } from '../temporary-folder.ts';
import { writeCompressed } from './compressed.ts';
import { arrivals, startHierarchy } from './layers.ts';
import { bytesOfFile, modelOf, pushLayer } from './model.ts';
import { highestMemory, layerMemory } from './sampled-memory.ts';

const MIB = 1024 * 1024;
/** In bytes a second: the transfer of a delta takes seconds. */
const RATE = 200 * MIB;
/** Between two requests to the gateway, in ms; measured for this long without a delta. */
const REQUEST_MS = 10;
const QUIET_MS = 20_000;
/** Time after a transfer in which processes become idle, and return memory, in ms. */
const IDLE_MS = 12_000;
const REPOSITORY = 'models/weights';
/** Goals: memory above idle in MB, and of the slowest answer of 100, in ms. */
const GOALS = { sender: (256 * MIB) / 1e6, receiver: (150 * MIB) / 1e6, answersMs: 20 };
const MAX_MAKE_MS = 3_600_000;
/** Disk space and time, so that no layer is too large. */
const LIMITS = { scratch: '32GiB', time: 'PT1H' };

type Form = 'raw' | 'gzip';

/** Memory of sender and receiver while an update is made and applied, and answers of the sender's gateway. */
export const deltaMemory: Subject = async ({ full, progress }) => {
  const comparisons: Comparison[] = [];
  for (const mib of full ? [100, 4_096] : [100])
    for (const form of ['raw', 'gzip'] as const) {
      comparisons.push(
        ...(await measureUpdate(mib, form, (line) => progress(`delta-memory: ${mib} MiB ${form}, ${line}`))),
      );
    }
  return comparisons;
};

async function measureUpdate(
  mib: number,
  form: Form,
  progress: (line: string) => void,
): Promise<Comparison[]> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await TemporaryFolder.create());
  const link = { rate: RATE, latency: 0 };
  const { layers } = await startHierarchy(stack, ['top', 'bottom'], link, { mode: 'always', ...LIMITS });
  const [top, bottom] = layers as [TestLayer, TestLayer];
  progress('the first version');
  const first = arrivals([bottom], 'v1', performance.now());
  await push(top, folder.path, mib * MIB, form, 1);
  await first;
  await sleep(IDLE_MS);
  const quiet = await answers(top, sleep(QUIET_MS));
  const idle = await Promise.all(layers.map((layer) => layerMemory(layer)));
  progress('the update');
  const arrived = arrivals([bottom], 'v2', performance.now());
  const made = top.event(deltaMade, () => true, MAX_MAKE_MS);
  await push(top, folder.path, mib * MIB, form, 2);
  const start = performance.now();
  const highest = Promise.all(layers.map((layer) => highestMemory(layer, arrived)));
  const busy = await answers(top, made);
  const makeS = (performance.now() - start) / 1_000;
  const { size, toSize } = await made;
  progress('the update is transferred and applied');
  await arrived;
  const seconds = (performance.now() - start) / 1_000;
  const [sender = 0, receiver = 0] = (await highest).map((peak, at) => peak - (idle[at] ?? 0));
  const [slow, slowQuiet] = [slowest(busy), slowest(quiet)];
  const isWithin =
    sender <= GOALS.sender && receiver <= GOALS.receiver && slow - slowQuiet <= GOALS.answersMs;
  const update = `an update of ${(toSize / MIB).toFixed(0)} MiB, ${form}, 5 % changed`;
  return [
    {
      subject: `highest memory above idle, all processes of a layer, during ${update}`,
      unit: 'MB',
      better: 'less',
      values: { sender: [sender], receiver: [receiver] },
      ratios: false,
      notes: [
        `A delta of ${((100 * size) / toSize).toFixed(2)} %, made in ${makeS.toFixed(0)} s, the update there after ${seconds.toFixed(0)} s.`,
        `Idle: sender ${(idle[0] ?? 0).toFixed(0)} MB, receiver ${(idle[1] ?? 0).toFixed(0)} MB.`,
      ],
    },
    {
      subject: `answers of the sender's gateway while the delta of ${update} is made, slowest of 100`,
      unit: 'ms',
      better: 'less',
      values: { meanwhile: [slow], 'without it': [slowQuiet] },
      ratios: false,
      notes: [
        `${busy.length} and ${quiet.length} requests. ${isWithin ? 'Within' : 'NOT within'} the goals: sender ${GOALS.sender.toFixed(0)} MB, ` +
          `receiver ${GOALS.receiver.toFixed(0)} MB, ${GOALS.answersMs} ms more.`,
      ],
    },
  ];
}

/** @param folder for a compressed layer, which is deleted again */
async function push(
  layer: TestLayer,
  folder: string,
  size: number,
  form: Form,
  version: number,
): Promise<void> {
  const tag = `v${version}`;
  if (form === 'raw') {
    await pushLayer(layer.url, REPOSITORY, tag, () => modelOf(size, version));
    return;
  }
  const path = join(folder, tag);
  await writeCompressed(path, size, version);
  await pushLayer(layer.url, REPOSITORY, tag, () => bytesOfFile(path), '+gzip');
  await rm(path);
}

/** Times of requests for a manifest until `end` resolves, in ms. */
async function answers(layer: TestLayer, end: Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let isOver = false;
  const stop = () => {
    isOver = true;
  };
  end.then(stop, stop);
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
