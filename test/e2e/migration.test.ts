import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { actionsOfChild } from '#proto/accounts/permission-words.ts';
import { environmentFields } from '#proto/document/resolve/module-environment.ts';
import { connectOperator } from '../../cli/connection/connect.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { freePort } from '../support/ports.ts';
import { pushImage, sameContent } from '../support/registry/image.ts';
import { ask } from '../support/registry/registry.ts';
import { run, typeIn } from '../support/terrace.ts';
import { until } from '../support/until.ts';
import { environmentOf, nestedModule, topModule } from './quickstart.ts';

/** A deployment that was written for the connected registry moves over by the name of its image. */

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

/** All that a layer has written anywhere but its content, and to its log. */
async function written(folder: string, without: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile() && join(one.parentPath, one.name) !== without);
  const texts = files.map((one) => readFile(join(one.parentPath, one.name), 'latin1').catch(() => ''));
  return (await Promise.all(texts)).join('\n');
}

test("the quickstart's environment comes up, syncs by its sync token, and lets in who has a token", async () => {
  await pushImage(parent.host, 'hello-world', '1', { layers: [200_000] });
  const actions = actionsOfChild('myconnectedmirror', 'ReadOnly', ['*']);
  const token = 'mymirror-sync';
  const { password } = await parent.bus().call(createToken, { name: token, actions });
  const outside = await parent.bus().call(createToken, { name: 'client', actions: READ });
  const [host, port] = parent.host.split(':') as [string, string];
  const listen = `127.0.0.1:${await freePort()}`;
  const env = {
    ...environmentOf(nestedModule({ token, password, port: Number(port), protocol: 'http' })),
    // What edgeAgent sets in a nested edge; and in place of the bind mount and the network of the containers:
    IOTEDGE_PARENTHOSTNAME: host,
    ACR_REGISTRY_DATA_VOLUME: data,
    TERRACE_LISTEN: listen,
  };
  await using up = typeIn(env, 'up', '--compact', '--log-json');
  await up.says(/listening on http/);
  for (const path of ['/v2/', '/v2/hello-world/manifests/1']) {
    assert.equal((await ask(listen, path)).status, 401, 'nobody comes in while there is no token');
  }
  assert.equal((await ask(listen, '/healthz')).status, 200);

  await using bus = await connectOperator(data, 'terrace-test');
  const client = await bus.call(createToken, { name: 'client', actions: READ });
  const inside = `http://client:${client.password}@${listen}`;
  await until(
    async () => (await ask(inside, '/v2/hello-world/manifests/1')).status === 200,
    () => up.text.slice(-3_000),
  );
  const above = `http://client:${outside.password}@${parent.host}`;
  assert.equal(await sameContent(above, inside, ['hello-world']), undefined);
  const push = await ask(inside, '/v2/hello-world/blobs/uploads/', { method: 'POST' });
  assert.equal(push.status, 403, 'ReadOnly, as in the connected registry');

  const status = await run('status', '--json', '--data', data);
  assert.match(status.text, /myconnectedmirror/);
  const file = join(data, 'parent.password');
  assert.equal(await readFile(file, 'utf8'), password);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  for (const text of [up.text, status.text, await written(data, file)]) {
    assert.ok(!text.includes(password), 'the password stands in its file only');
  }
});

test('a top layer has its parent in the cloud, listens as the connected registry does, and keeps its volume', () => {
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

test('a connection string that is not valid ends with words, and starts nothing', async () => {
  await using up = typeIn(
    {
      ACR_REGISTRY_CONNECTION_STRING: 'ConnectedRegistryName=a',
      ACR_REGISTRY_DATA_VOLUME: join(data, 'none'),
    },
    'up',
  );
  assert.equal(await up.ended(), 2);
  assert.match(up.text, /^terrace: ACR_REGISTRY_CONNECTION_STRING lacks ParentGatewayEndpoint/);
  await assert.rejects(stat(join(data, 'none')), { code: 'ENOENT' });
});
