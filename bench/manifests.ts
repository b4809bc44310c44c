import { createToken } from '#proto/accounts/accounts.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { testLayer } from '../test/support/layer.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { load, type Rate } from './load.ts';
import { alternate, type Comparison, type Subject } from './measure.ts';
import { residentAfter } from './resident.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const REPOSITORY = 'bench/small';
const SECONDS = 1;
/** More rounds do not make the figures more exact. */
const MAX_ROUNDS = 3;

/** Rate at which many clients get one manifest by its tag, with and without accounts. */
export const manifests: Subject = async (options) => {
  await using folder = await TemporaryFolder.create();
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using open = await startCloud();
  const account = { username: 'bench', password: 'a password of the bench' };
  await using withAccount = await startCloud({ account });
  const token = await layer.bus().call(createToken, { name: 'bench', scopeMap: '_repositories_push' });
  const client = { username: 'bench', password: token.password };
  const login = `http://${client.username}:${encodeURIComponent(client.password)}@${layer.host}`;
  for (const host of [login, open.host, withAccount.login]) {
    await pushImage(host, REPOSITORY, '1', { layers: [4_096] });
  }

  const servers = {
    'terrace (Bearer)': { host: layer.host, authorization: `Bearer ${await bearer(layer.url, client)}` },
    'terrace (Basic)': { host: layer.host, authorization: basic(client) },
    'docker-registry (open)': { host: open.host },
    'docker-registry (htpasswd)': { host: withAccount.host, authorization: basic(account) },
  };
  const measure = (
    server: { host: string; authorization?: string },
    method: 'GET' | 'HEAD',
    connections: number,
  ) => {
    const url = `http://${server.host}/v2/${REPOSITORY}/manifests/1`;
    const { authorization } = server;
    const headers = {
      Accept: mediaTypes.ociManifest,
      ...(authorization && { Authorization: authorization }),
    };
    return load(folder.path, { url, method, headers, connections, seconds: SECONDS });
  };
  for (const server of Object.values(servers)) await measure(server, 'GET', 16);
  const comparisons: Comparison[] = [];
  for (const method of ['GET', 'HEAD'] as const) {
    for (const connections of [1, 16, 64]) {
      const subject = `${method} of a manifest by tag, ${connections} connection${connections > 1 ? 's' : ''}`;
      const rates: Record<string, Rate[]> = {};
      const contenders = Object.entries(servers).map(([name, server]) => ({
        name,
        run: async () => {
          const rate = await measure(server, method, connections);
          rates[name] = [...(rates[name] ?? []), rate];
          return rate.perSecond;
        },
      }));
      const rounds = Math.min(MAX_ROUNDS, options.rounds);
      const values = await alternate({ ...options, rounds }, subject, contenders);
      const p99s = Object.fromEntries(
        Object.keys(servers).map((name) => [name, rates[name]!.map(({ p99 }) => p99)]),
      );
      comparisons.push({ subject, unit: '/s', better: 'more', values });
      comparisons.push({
        subject: '99 % of these answered within',
        unit: 'ms',
        better: 'less',
        values: p99s,
      });
    }
  }
  const pids = { ...layer.pids(), 'docker-registry (open)': open.pid! };
  return [...comparisons, ...(await residentAfter('requests for manifests', pids))];
};

type Account = { username: string; password: string };

const basic = ({ username, password }: Account): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

async function bearer(url: string, account: Account): Promise<string> {
  const scope = `repository:${REPOSITORY}:pull`;
  const response = await fetch(`${url}/v2/token?service=bench&scope=${encodeURIComponent(scope)}`, {
    headers: { Authorization: basic(account) },
  });
  return ((await response.json()) as { token: string }).token;
}
