import { deltaApplied, deltaMade } from '#proto/sync/delta-jobs.ts';
import { bytesOf } from '../../test/support/proxy/requests.ts';
import { firstDifference } from '../../test/support/registry/image.ts';
import type { Comparison, Subject } from '../measure.ts';
import { arrivals, slowDown, startHierarchy, workOf } from './layers.ts';
import { pushModel } from './model.ts';

const MIB = 1024 * 1024;
/** 5 Mbit/s, in bytes a second, and a round trip of 600 ms. */
const LINK = { rate: 625_000, latency: 600 };
const NAMES = ['top', 'middle', 'bottom'];
const REPOSITORY = 'models/weights';

/** An update of which 5 % changed, pushed at the top, through two links into the bottom layer. */
export const deltaLayers: Subject = async ({ full, progress }) => {
  const size = (full ? 1_024 : 64) * MIB;
  await using stack = new AsyncDisposableStack();
  const { layers, links } = await startHierarchy(stack, NAMES, { rate: 200 * MIB, latency: 0 });
  const [top, middle, bottom] = layers as [(typeof layers)[0], (typeof layers)[0], (typeof layers)[0]];
  progress('delta-layers: the first version');
  const first = arrivals([middle, bottom], 'v1', performance.now());
  await pushModel(top.url, REPOSITORY, { tag: 'v1', size, version: 1 });
  await first;
  await slowDown({ layers, links }, LINK);
  progress('delta-layers: the update');
  const before = links.map((link) => bytesOf(link.requests, /^/));
  const start = performance.now();
  const arriving = arrivals([middle, bottom], 'v2', start);
  await pushModel(top.url, REPOSITORY, { tag: 'v2', size, version: 2 });
  const [middleS, bottomS] = (await arriving) as [number, number];
  for (const layer of [middle, bottom]) {
    const difference = await firstDifference(top.host, layer.host, [REPOSITORY]);
    if (difference) throw new Error(difference);
  }
  const crossed = links.map((link, at) => bytesOf(link.requests, /^/) - (before[at] as number));
  const linesOf = (event: typeof deltaMade | typeof deltaApplied) =>
    layers
      .map((layer, at) => ({ name: NAMES[at], ...workOf(layer, event) }))
      .map(({ name, count, cpuS }) => `${count} by ${name} (${cpuS.toFixed(1)} s of CPU)`)
      .join(', ');
  const subject = `an update of ${size / MIB} MiB, 5 % changed, through two links of 5 Mbit/s and 600 ms`;
  const comparisons: Comparison[] = [
    {
      subject,
      unit: 's',
      better: 'less',
      values: { middle: [middleS], bottom: [bottomS] },
      ratios: false,
      notes: [
        `The bottom layer took ${(bottomS / middleS).toFixed(2)} times as long as the middle one (goal: 1.25).`,
        `Deltas made: ${linesOf(deltaMade)}.`,
        `Deltas applied: ${linesOf(deltaApplied)}.`,
        `In full, one link needs ${(size / LINK.rate).toFixed(0)} s.`,
      ],
    },
    {
      subject: `${subject}: bytes over each link, as a share of the update`,
      unit: '%',
      better: 'less',
      values: Object.fromEntries(crossed.map((bytes, at) => [`link ${at + 1}`, [(100 * bytes) / size]])),
      ratios: false,
    },
  ];
  return comparisons;
};
