import { testLayer } from '../test/support/layer.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushBlob } from '../test/support/registry/image.ts';
import { cpuSeconds } from './cpu-seconds.ts';
import { discard } from './curl.ts';
import { alternate, type Comparison, type Options, roundsFor, type Subject, timed } from './measure.ts';
import { Nginx } from './nginx.ts';
import { residentAfter } from './resident.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const MIB = 1024 * 1024;

type Server = { url: string; pids: number[] };

/** Rate of pulls of blobs of several sizes, on one connection and on four. The blobs are in the page cache. */
export const pull: Subject = async (options) => {
  await using folder = await TemporaryFolder.create();
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using registry = await startCloud();
  await using nginx = await Nginx.start(folder.path);
  const comparisons: Comparison[] = [];
  for (const mib of options.mib) {
    const content = { seed: `pull ${mib}`, size: mib * MIB };
    const digest = await folder.write(`content/blob-${mib}`, content);
    for (const { host } of [layer, registry]) await pushBlob(host, 'bench/pull', content);
    const blob = `/v2/bench/pull/blobs/${digest}`;
    const servers = {
      terrace: { url: layer.url + blob, pids: Object.values(layer.pids()) },
      'docker-registry': { url: registry.url + blob, pids: [registry.pid!] },
      nginx: { url: `http://${nginx.host}/blob-${mib}`, pids: [nginx.pid!] },
    };
    for (const connections of [1, 4]) {
      comparisons.push(...(await compare(options, mib, connections, servers)));
    }
  }
  const pids = { ...layer.pids(), 'docker-registry': registry.pid! };
  return [...comparisons, ...(await residentAfter('pulls', pids))];
};

async function compare(
  options: Options,
  mib: number,
  connections: number,
  servers: Record<string, Server>,
): Promise<Comparison[]> {
  const subject = `pull of a ${mib} MiB blob, ${connections} at once`;
  // A small blob is pulled several times on the same connection: otherwise the start of the client dominates.
  const times = Math.max(1, Math.ceil(256 / mib));
  const megabytes = (connections * times * mib * MIB) / 1e6;
  const cost: Record<string, number[]> = {};
  const contenders = Object.entries(servers).map(([name, { url, pids }]) => ({
    name,
    run: async () => {
      const before = await cpuSeconds(pids);
      const seconds = await timed(() => discard(`${url}?n=[1-${times}]`, connections));
      const used = (await cpuSeconds(pids)) - before;
      cost[name] = [...(cost[name] ?? []), (used * 1e6) / megabytes];
      return megabytes / seconds;
    },
  }));
  for (const { url } of Object.values(servers)) await discard(url);
  const rounds = roundsFor(mib, options);
  const values = await alternate({ ...options, rounds }, subject, contenders);
  // If the client or the machine is the bottleneck, this still distinguishes the servers.
  const cpuSubject = `CPU time of the server, ${connections} at once`;
  return [
    { subject, unit: 'MB/s', better: 'more', values },
    { subject: cpuSubject, unit: 'µs/MB', better: 'less', values: { terrace: cost.terrace!, ...cost } },
  ];
}
