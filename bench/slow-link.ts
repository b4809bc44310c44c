import { type FaultProxy, startProxy } from '../test/support/proxy/fault-proxy.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { alternate, type Subject } from './measure.ts';
import { syncByLayer, syncBySkopeo } from './sync.ts';

const MIB = 1024 * 1024;
/** `connection`: what loss and delay leave to one connection; `total`: capacity of the link, in bytes a second. */
const LINK = { latency: 300, bandwidth: { connection: 256 * 1024, total: 3 * MIB } };
const LAYERS = [6, 6, 4, 1, 1].map((mib) => mib * MIB);
const SIZE = LAYERS.reduce((sum, layer) => sum + layer, 0);

/** An image over a link of which one connection gets a twelfth: into an empty layer, and with skopeo. */
export const slowLink: Subject = async (options) => {
  await using source = await startCloud();
  await pushImage(source.url, 'slow/image', 'v1', { layers: LAYERS });
  await using proxy: FaultProxy = await startProxy(source.url, LINK);
  const subject = 'sync of an image of 18 MiB over a slow link';
  const contenders = [
    { name: 'terrace', run: () => syncByLayer(source, ['slow/image'], proxy.url) },
    { name: 'skopeo sync', run: () => syncBySkopeo(source, ['slow/image'], proxy.host) },
  ];
  // One round: a sync takes most of a minute.
  const values = await alternate({ ...options, rounds: 1 }, subject, contenders);
  return [{ subject, unit: 's', better: 'less', values, notes }];
};

const notes = [
  `300 ms before each answer, 262 kB/s for each connection, 3.1 MB/s for all: ${(SIZE / LINK.bandwidth.total).toFixed(0)} s at least.`,
  'One round.',
];
