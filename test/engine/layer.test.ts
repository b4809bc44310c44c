import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Compose, noEngine, until } from '../support/compose.ts';
import { freePort } from '../support/ports.ts';
import { Clients } from '../support/registry/clients.ts';
import { execute } from '../support/registry/debian.ts';

/** docker-compose.yml: one layer, a container for each service, on a real engine. */

const layer = new Compose(join(import.meta.dirname, '../../docker-compose.yml'), 'terrace-layer-test');
const services = ['storage', 'gateway', 'syncer', 'twin-bridge'];
const skip = noEngine;
const timeout = 900_000;
let clients: Clients;
let host: string;
let password: string;

before(
  async () => {
    if (skip) return;
    clients = await Clients.create();
    host = `127.0.0.1:${await freePort()}`;
    process.env.TERRACE_PUBLISH = host;
    await layer.run('build', '--quiet');
    await layer.run('up', '-d', '--scale', 'syncer=3');
    const words = ['terrace', 'token', 'create', 'ci', '--push', '*'];
    password = (await until(() => layer.exec('storage', ...words))).trim();
  },
  { timeout },
);
after(
  async () => {
    if (skip) return;
    await layer[Symbol.asyncDispose]();
    await clients[Symbol.asyncDispose]();
  },
  { timeout },
);

const inspect = () =>
  clients.skopeo('inspect', '--tls-verify=false', '--creds', `ci:${password}`, `docker://${host}/app:1`);

test('clients log in, push and pull; three syncers are there; all are well', { skip, timeout }, async () => {
  await layer.run('up', '-d', '--wait', '--scale', 'syncer=3');
  const image = await clients.image('words');
  const remote = `docker://${host}/app:1`;
  const creds = `ci:${password}`;
  await clients.buildah('push', '--tls-verify=false', '--creds', creds, image, remote);
  const got = join(clients.folder, 'got');
  await clients.skopeo('copy', '--src-tls-verify=false', '--src-creds', creds, remote, `dir:${got}`);
  const status = await layer.exec('storage', 'terrace', 'status');
  assert.equal(status.match(/^syncer {2}/gm)?.length, 3, status);
});

test('nobody is root, and nothing but the volume can be written', { skip, timeout }, async () => {
  for (const service of services) {
    assert.notEqual((await layer.exec(service, 'id', '-u')).trim(), '0');
    assert.match(await layer.fails(service, 'touch', '/opt/terrace/x'), /Read-only file system/);
  }
});

test('the health check of each service is answered without Node', { skip, timeout }, async () => {
  for (const service of services) {
    await layer.exec(service, '/opt/terrace/cli/health', '--data', '/data', '--service', service);
  }
});

test('the image has one nats-server, and compiled code that its user can use', {
  skip,
  timeout,
}, async () => {
  const programs = await layer.exec(
    'storage',
    'sh',
    '-c',
    'find / -xdev -type f -name nats-server 2>/dev/null || true',
  );
  assert.equal(programs.match(/^\/.*\/nats-server$/gm)?.length, 1, programs);
  // The modules of the program itself, of which only Node's own log tells whether they were compiled anew.
  const modules = "terrace --help 2>&1 | grep -E -c 'file:///opt/terrace/cli/[^ ]*[.]ts was accepted'";
  const words = ['exec', '-T', '-e', 'NODE_DEBUG_NATIVE=COMPILE_CACHE', 'storage', 'sh', '-c', modules];
  assert.ok(Number(await layer.run(...words)) > 10);
});

test('what was pushed survives the end of every container', { skip, timeout }, async () => {
  await layer.run('kill');
  await layer.run('up', '-d', '--wait', '--scale', 'syncer=3');
  await until(inspect);
});

test('storage ends with 65 where its metadata are damaged, whatever the engine does, and repair helps', {
  skip,
  timeout,
}, async () => {
  const alone = (...words: string[]) => layer.run('run', '--rm', '--no-deps', '-T', '--entrypoint', ...words);
  await layer.run('kill', 'storage');
  await alone('sh', 'storage', '-c', 'echo nonsense > /data/metadata/CURRENT');
  await layer.run('start', 'storage');
  const container = await layer.container('storage');
  const state = async () => {
    const format = '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}';
    return (await execute('docker', ['inspect', '--format', format, container])).stdout.trim();
  };
  // compose has no policy that goes by the exit code: the engine starts it again, after 0.1 s to 1 min.
  await until(async () => assert.match(await state(), /^restarting 65 [2-9]/));
  assert.match(
    await layer.run('logs', '--no-log-prefix', '--tail', '1', 'storage'),
    /the metadata in \/data is damaged \(CURRENT is damaged\).*run \\?"terrace repair --data \/data/,
  );
  await layer.run('stop', 'storage');
  assert.match(await alone('terrace', 'storage', 'repair'), /Lost:\n {2}nothing\n/);
  await layer.run('up', '-d', '--wait', '--scale', 'syncer=3');
  await until(inspect);
});
