import { tagMoved } from '#proto/content/content-events.ts';
import { type TestLayer, testLayer } from '../test/support/layer.ts';
import { type FaultProxy, startProxy } from '../test/support/proxy/fault-proxy.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { firstDifference, pushImage } from '../test/support/registry/image.ts';
import type { Subject } from './measure.ts';

const MIB = 1024 * 1024;
/** 100 Mbit/s, in bytes a second. */
const RATE = 12_500_000;
const LAYERS = ['layer 5', 'layer 4', 'layer 3'];

/** An image of one large blob, from a registry through three layers, over equal links. */
export const cutThrough: Subject = async (options) => {
  const size = (options.full ? 1_024 : 128) * MIB;
  options.progress('cut-through: one layer alone');
  const [[, alone] = ['', 0]] = await pullThrough(size, 1);
  options.progress('cut-through: three layers');
  const times = await pullThrough(size, LAYERS.length);
  const subject = `a blob of ${size / MIB} MiB from a registry through three layers`;
  const values = (unit: number) =>
    Object.fromEntries(times.map(([name, seconds]) => [name, [seconds / unit]]));
  const link = size / RATE;
  const notes = [
    'From the start of the pass that finds the image until its tag is in each layer; one round. Each link carries',
    `100 Mbit/s, ${link.toFixed(1)} s for the blob; one layer alone took ${alone.toFixed(1)} s.`,
  ];
  return [
    { subject, unit: 's', better: 'less', values: values(1), ratios: false, notes },
    {
      subject: `${subject}, relative to one layer alone`,
      unit: '',
      better: 'less',
      values: values(alone),
      ratios: false,
    },
  ];
};

/** @returns the time until the image is in each layer, in s */
async function pullThrough(size: number, count: number): Promise<[string, number][]> {
  await using stack = new AsyncDisposableStack();
  const cloud = stack.use(await startCloud());
  const layers: TestLayer[] = [];
  for (const name of ['5', '4', '3'].slice(0, count)) {
    const above = layers.at(-1)?.url ?? cloud.url;
    const proxy: FaultProxy = stack.use(await startProxy(above, { bandwidth: { total: RATE } }));
    const schedule = layers.length === 0 ? undefined : { schedule: '* * * * *' };
    const options = { name: `layer-${name}`, parent: proxy.url, logLevel: 'warn' as const, ...schedule };
    layers.push(stack.use(await testLayer(options)));
  }
  for (const layer of layers) {
    const { ok, failures } = await layer.sync();
    if (!ok) throw new Error(JSON.stringify(failures));
  }
  await pushImage(cloud.host, 'data/large', 'v1', { layers: [{ seed: 'cut-through', size }] });
  const start = performance.now();
  const ends = layers.map(async (layer, at): Promise<[string, number]> => {
    await layer.event(tagMoved, ({ tag }) => tag === 'v1', 1_200_000);
    return [LAYERS[at] as string, (performance.now() - start) / 1_000];
  });
  const first = await layers[0]?.sync();
  if (!first?.ok) throw new Error(JSON.stringify(first?.failures));
  const times = await Promise.all(ends);
  for (const layer of layers) {
    const difference = await firstDifference(cloud.host, layer.host, ['data/large']);
    if (difference) throw new Error(difference);
  }
  return times;
}
