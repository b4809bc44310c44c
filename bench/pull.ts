import { startCloud } from '../test/support/cloud.ts';
import { pushBlob } from '../test/support/image.ts';
import { testLayer } from '../test/support/layer.ts';
import { discard } from './curl.ts';
import { alternate, type Comparison, type Subject, timed } from './measure.ts';
import { Nginx } from './nginx.ts';
import { processorSeconds } from './processor.ts';
import { Folder } from './stage.ts';

const MIB = 1024 * 1024;

/** How fast a blob leaves, on one connection and on four at once. It lies in the page cache. */
export const pull: Subject = async (options) => {
  await using folder = await Folder.create();
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using registry = await startCloud();
  await using nginx = await Nginx.start(folder.path);
  const content = { seed: 'pull', size: options.mib * MIB };
  const digest = await folder.write('content/blob', content);
  for (const { host } of [layer, registry]) await pushBlob(host, 'bench/pull', content);

  const blob = `/v2/bench/pull/blobs/${digest}`;
  const servers = {
    terrace: { url: layer.url + blob, pids: Object.values(layer.pids()) },
    'docker-registry': { url: registry.url + blob, pids: [registry.pid!] },
    nginx: { url: `http://${nginx.host}/blob`, pids: [nginx.pid!] },
  };
  const comparisons: Comparison[] = [];
  for (const connections of [1, 4]) {
    const subject = `pull of a ${options.mib} MiB blob, ${connections} at once`;
    const megabytes = (connections * content.size) / 1e6;
    const cost: Record<string, number[]> = {};
    const contenders = Object.entries(servers).map(([name, { url, pids }]) => ({
      name,
      run: async () => {
        const before = await processorSeconds(pids);
        const seconds = await timed(() => discard(url, connections));
        const used = (await processorSeconds(pids)) - before;
        cost[name] = [...(cost[name] ?? []), (used * 1e6) / megabytes];
        return megabytes / seconds;
      },
    }));
    for (const { url } of Object.values(servers)) await discard(url);
    const values = await alternate(options, subject, contenders);
    comparisons.push({ subject, unit: 'MB/s', better: 'more', values });
    // Where the client or the machine sets the pace, this still tells the servers apart.
    const terrace = { terrace: cost.terrace! };
    const what = `processor time of the server, ${connections} at once`;
    comparisons.push({ subject: what, unit: 'µs/MB', better: 'less', values: { ...terrace, ...cost } });
  }
  return comparisons;
};
