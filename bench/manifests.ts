import { createToken } from '#proto/accounts/accounts.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { testLayer } from '../test/support/layer.ts';
import { startCloud } from '../test/support/registry/cloud.ts';
import { pushImage } from '../test/support/registry/image.ts';
import { load, type Rate } from './load.ts';
import { alternate, type Comparison, type Subject } from './measure.ts';
import { residentAfter } from './resident.ts';
import { Folder } from './stage.ts';

const REPOSITORY = 'bench/small';
const SECONDS = 1;
/** Many short runs of a busy machine say as much as this. */
const ROUNDS = 3;

/** How many times a second many clients get one manifest by its tag, with and without accounts. */
export const manifests: Subject = async (options) => {
  await using folder = await Folder.create();
  await using layer = await testLayer({ name: 'bench', logLevel: 'warn' });
  await using open = await startCloud();
  const account = { username: 'bench', password: 'a password of the bench' };
  await using guarded = await startCloud({ account });
  const made = await layer.bus().call(createToken, { name: 'bench', scopeMap: '_repositories_push' });
  const own = { username: 'bench', password: made.password };
  const login = `http://${own.username}:${encodeURIComponent(own.password)}@${layer.host}`;
  for (const host of [login, open.host, guarded.login]) {
    await pushImage(host, REPOSITORY, '1', { layers: [4_096] });
  }

  const servers = {
    'terrace (Bearer)': { host: layer.host, authorization: `Bearer ${await bearer(layer.url, own)}` },
    'terrace (Basic)': { host: layer.host, authorization: basic(own) },
    'docker-registry (open)': { host: open.host },
    'docker-registry (htpasswd)': { host: guarded.host, authorization: basic(account) },
  };
  const ask = (
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
  for (const server of Object.values(servers)) await ask(server, 'GET', 16);
  const comparisons: Comparison[] = [];
  for (const method of ['GET', 'HEAD'] as const) {
    for (const connections of [1, 16, 64]) {
      const subject = `${method} of a manifest by tag, ${connections} connection${connections > 1 ? 's' : ''}`;
      const rates: Record<string, Rate[]> = {};
      const contenders = Object.entries(servers).map(([name, server]) => ({
        name,
        run: async () => {
          const rate = await ask(server, method, connections);
          rates[name] = [...(rates[name] ?? []), rate];
          return rate.perSecond;
        },
      }));
      const rounds = Math.min(ROUNDS, options.rounds);
      const values = await alternate({ ...options, rounds }, subject, contenders);
      const late = Object.fromEntries(
        Object.keys(servers).map((name) => [name, rates[name]!.map(({ p99 }) => p99)]),
      );
      comparisons.push({ subject, unit: '/s', better: 'more', values });
      comparisons.push({ subject: '99 % of them within', unit: 'ms', better: 'less', values: late });
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
  const answer = await fetch(`${url}/v2/token?service=bench&scope=${encodeURIComponent(scope)}`, {
    headers: { Authorization: basic(account) },
  });
  return ((await answer.json()) as { token: string }).token;
}
