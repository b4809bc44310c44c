import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { actionsOfChild } from '#proto/accounts/permission-words.ts';
import { environmentFields } from '#proto/document/resolve/module-environment.ts';
import { connectOperator } from '../../cli/connection/connect.ts';
import { runCommandHere } from '../support/command-line.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { freePort } from '../support/ports.ts';
import { firstDifference, pushImage } from '../support/registry/image.ts';
import { request } from '../support/registry/registry.ts';
import { startCommandWith } from '../support/terrace.ts';
import { until } from '../support/until.ts';
import { environmentOf, nestedModule, topModule } from './quickstart.ts';

/** A deployment of the connected registry runs as a layer after a change of its image name, and with its mode. */

let parent: TestLayer;
let data: string;
before(async () => {
  [parent, data] = await Promise.all([
    testLayer({ name: 'parent', compact: 'hosted' }),
    mkdtemp(join(tmpdir(), 'terrace-migration-')),
  ]);
});
after(async () => {
  await parent[Symbol.asyncDispose]();
  await rm(data, { recursive: true, force: true });
});

const READ = ['repositories/*/content/read', 'repositories/*/metadata/read'];

/** Text of all files of a layer except one. */
async function textsOf(folder: string, excluded: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile() && join(one.parentPath, one.name) !== excluded);
  const texts = files.map((one) => readFile(join(one.parentPath, one.name), 'latin1').catch(() => ''));
  return (await Promise.all(texts)).join('\n');
}

test("a layer with the quickstart's environment syncs with its sync token and serves clients with a token", async () => {
  await pushImage(parent.host, 'hello-world', '1', { layers: [200_000] });
  const actions = actionsOfChild('myconnectedmirror', 'ReadOnly', ['*']);
  const token = 'mymirror-sync';
  const { password } = await parent.bus().call(createToken, { name: token, actions });
  const parentClient = await parent.bus().call(createToken, { name: 'client', actions: READ });
  const [host, port] = parent.host.split(':') as [string, string];
  const listen = `127.0.0.1:${await freePort()}`;
  const env = {
    ...environmentOf(nestedModule({ token, password, port: Number(port), protocol: 'http' })),
    // Set by edgeAgent on a nested device. The other two replace the bind mount and the network of the container.
    IOTEDGE_PARENTHOSTNAME: host,
    ACR_REGISTRY_DATA_VOLUME: data,
    TERRACE_LISTEN: listen,
    // The connection string does not have the mode.
    TERRACE_MODE: 'ReadOnly',
  };
  await using up = startCommandWith(env, 'up', '--compact', '--log-json');
  await up.untilOutput(/listening on http/);
  for (const path of ['/v2/', '/v2/hello-world/manifests/1']) {
    assert.equal((await request(listen, path)).status, 401, 'every request is refused while no token exists');
  }
  assert.equal((await request(listen, '/healthz')).status, 200);
  const closed = /^No accounts yet: all clients are rejected until a token is created/m;
  await until(
    async () => closed.test((await runCommandHere('status', '--data', data)).text),
    'status says that nobody is admitted',
  );

  await using bus = await connectOperator(data, 'terrace-test');
  const client = await bus.call(createToken, { name: 'client', actions: READ });
  const layerHost = `http://client:${client.password}@${listen}`;
  await until(
    async () => (await request(layerHost, '/v2/hello-world/manifests/1')).status === 200,
    () => up.text.slice(-3_000),
  );
  const parentHost = `http://client:${parentClient.password}@${parent.host}`;
  assert.equal(await firstDifference(parentHost, layerHost, ['hello-world']), undefined);
  const push = await request(layerHost, '/v2/hello-world/blobs/uploads/', { method: 'POST' });
  assert.equal(push.status, 403, 'ReadOnly, as in the connected registry');

  const status = await runCommandHere('status', '--json', '--data', data);
  assert.match(status.text, /myconnectedmirror/);
  const file = join(data, 'parent.password');
  assert.equal(await readFile(file, 'utf8'), password);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  for (const text of [up.text, status.text, await textsOf(data, file)]) {
    assert.ok(!text.includes(password), 'the password is in its file only');
  }
});

test('the environment of a top layer sets its cloud parent, the port of the connected registry and its volume', () => {
  const env = environmentOf(topModule({ token: 'mirror', password: 'a=b==' }));
  const { fields, password } = environmentFields(env, '/var/acr/data', () => false);
  assert.deepEqual(fields, {
    listen: '0.0.0.0:8080',
    name: 'myconnectedregistry',
    parent: {
      url: 'https://contoso.azurecr.io',
      username: 'mirror',
      passwordFile: '/var/acr/data/parent.password',
    },
  });
  assert.equal(password, 'a=b==');
});

test('an invalid connection string is refused with the reason, and nothing is started', async () => {
  await using up = startCommandWith(
    {
      ACR_REGISTRY_CONNECTION_STRING: 'ConnectedRegistryName=a',
      ACR_REGISTRY_DATA_VOLUME: join(data, 'none'),
    },
    'up',
  );
  assert.equal(await up.exited(), 2);
  assert.match(up.text, /^terrace: ACR_REGISTRY_CONNECTION_STRING lacks ParentGatewayEndpoint/);
  await assert.rejects(stat(join(data, 'none')), { code: 'ENOENT' });
});
