import { testLayer } from '../test/support/layer.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { curl } from './curl.ts';
import { alternate, type Comparison, type Subject, timed } from './measure.ts';

const COUNT = 500;

/** Rate at which one client gets manifests and small blobs, one after the other on one connection. */
export const requests: Subject = async (options) => {
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using registry = await startCloud();
  const hosts = { terrace: layer.host, 'docker-registry': registry.host };
  const { layers, digest } = await pushImage(layer.host, 'bench/small', '1', { layers: [4_096] });
  await pushImage(registry.host, 'bench/small', '1', { layers: [4_096] });
  const paths = {
    'a manifest by tag': '/v2/bench/small/manifests/1',
    'a manifest by digest': `/v2/bench/small/manifests/${digest}`,
    'a blob of 4 KiB': `/v2/bench/small/blobs/${layers[0]?.digest}`,
  };
  const comparisons: Comparison[] = [];
  for (const [content, path] of Object.entries(paths)) {
    const subject = `${content}, one request after the other`;
    const accept = `Accept: ${'application/vnd.oci.image.manifest.v1+json'}`;
    const contenders = Object.entries(hosts).map(([name, host]) => ({
      name,
      run: async () => {
        const url = `http://${host}${path}?n=[1-${COUNT}]`;
        return COUNT / (await timed(() => curl('-H', accept, '-o', '/dev/null', url)));
      },
    }));
    for (const { run } of contenders) await run();
    comparisons.push({
      subject,
      unit: '/s',
      better: 'more',
      values: await alternate(options, subject, contenders),
    });
  }
  return comparisons;
};
