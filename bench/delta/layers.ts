import { tagMoved } from '#proto/content/content-events.ts';
import type { deltaApplied, deltaMade } from '#proto/sync/delta-jobs.ts';
import { type TestLayer, type TestLayerOptions, testLayer } from '../../test/support/layer.ts';
import { type FaultProxy, startProxy } from '../../test/support/proxy/fault-proxy.ts';
import { pushImage } from '../../test/support/registry/image.ts';

/** Layers above one another, the first without a parent, and the links between them. */
export type Hierarchy = { layers: TestLayer[]; links: FaultProxy[] };

type LinkOptions = {
  /** Of each link, in bytes a second. */
  rate: number;
  /** Delay before each answer, in ms. */
  latency: number;
};

/** @param stack ends the layers */
export async function startHierarchy(
  stack: AsyncDisposableStack,
  names: readonly string[],
  { rate, latency }: LinkOptions,
  delta: NonNullable<TestLayerOptions['delta']> = {},
): Promise<Hierarchy> {
  const layers: TestLayer[] = [];
  const links: FaultProxy[] = [];
  for (const name of names) {
    const above = layers.at(-1)?.url;
    const link = above && (await startProxy(above, { latency, bandwidth: { total: rate } }));
    if (link) links.push(stack.use(link));
    const parent = link ? { parent: link.url, repositories: ['*'], schedule: '* * * * *' } : {};
    layers.push(stack.use(await testLayer({ name, logLevel: 'warn', delta, ...parent })));
  }
  return { layers, links };
}

/** Time that an image takes which shows how fast a link is, in s. */
const SAMPLE_S = 6;

/** Makes the links slower, and brings a small image over them, so that the layers know how fast they are. */
export async function slowDown({ layers, links }: Hierarchy, { rate, latency }: LinkOptions): Promise<void> {
  for (const link of links) {
    link.latency = latency;
    link.bandwidth = { total: rate };
  }
  const [top, ...below] = layers as [TestLayer, ...TestLayer[]];
  const arrived = arrivals(below, 'sample', performance.now());
  await pushImage(top.url, 'models/sample', 'sample', { layers: [rate * SAMPLE_S] });
  await arrived;
}

/** Resolves with the time when each layer has the tag, in s since `start` of the monotonic clock. */
export const arrivals = (layers: readonly TestLayer[], tag: string, start: number): Promise<number[]> =>
  Promise.all(
    layers.map(async (layer) => {
      await layer.event(tagMoved, (moved) => moved.tag === tag, 3_600_000);
      return (performance.now() - start) / 1_000;
    }),
  );

/** Deltas that a layer made, or applied, and their processor time in s. */
export function workOf(
  layer: TestLayer,
  { type }: typeof deltaMade | typeof deltaApplied,
): { count: number; cpuS: number } {
  const done = layer.events.filter((event) => event.type === `terrace.${type}`);
  const cpuMs = done.reduce((sum, { data }) => sum + (data as { cpuMs: number }).cpuMs, 0);
  return { count: done.length, cpuS: cpuMs / 1_000 };
}
