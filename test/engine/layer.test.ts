import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Compose, noEngine, retry } from '../support/compose.ts';
import { freePort } from '../support/ports.ts';
import { Clients } from '../support/registry/clients.ts';
import { execute } from '../support/registry/debian.ts';

/** docker-compose.yml on a real container engine: one layer with a container for each service. */

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
    const parameters = ['terrace', 'token', 'create', 'ci', '--push', '*'];
    password = (await retry(() => layer.exec('storage', ...parameters))).trim();
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

test('clients log in, push and pull; three syncers run; all services are healthy', {
  skip,
  timeout,
}, async () => {
  await layer.run('up', '-d', '--wait', '--scale', 'syncer=3');
  const image = await clients.buildSmallImage('words');
  const remote = `docker://${host}/app:1`;
  const creds = `ci:${password}`;
  await clients.buildah('push', '--tls-verify=false', '--creds', creds, image, remote);
  const got = join(clients.folder, 'got');
  await clients.skopeo('copy', '--src-tls-verify=false', '--src-creds', creds, remote, `dir:${got}`);
  const status = await layer.exec('storage', 'terrace', 'status');
  assert.equal(status.match(/^syncer {2}/gm)?.length, 3, status);
});

test('no service runs as root or writes outside of the data volume', { skip, timeout }, async () => {
  for (const service of services) {
    assert.notEqual((await layer.exec(service, 'id', '-u')).trim(), '0');
    assert.match(await layer.execFailing(service, 'touch', '/opt/terrace/x'), /Read-only file system/);
  }
});

test('the health check of each service is answered without Node', { skip, timeout }, async () => {
  for (const service of services) {
    await layer.exec(service, '/opt/terrace/cli/health', '--data', '/data', '--service', service);
  }
});

test('the image has one nats-server, and no package manager', { skip, timeout }, async () => {
  const places =
    'ls -d /usr/sbin/nats-server /usr/local/bin/nats-server /usr/bin/nats-server 2>/dev/null || true';
  const programs = (await layer.exec('storage', 'sh', '-c', places)).trim().split('\n');
  assert.equal(programs.length, 1, programs.join());
  const managers = 'command -v apt-get || command -v dpkg || command -v npm || true';
  assert.equal((await layer.exec('storage', 'sh', '-c', managers)).trim(), '');
});

test('pushed content survives a kill of every container', { skip, timeout }, async () => {
  await layer.run('kill');
  await layer.run('up', '-d', '--wait', '--scale', 'syncer=3');
  await retry(inspect);
});

test('storage with damaged metadata ends with 65 at every restart, until `terrace repair` has run', {
  skip,
  timeout,
}, async () => {
  const runAlone = (...parameters: string[]) =>
    layer.run('run', '--rm', '--no-deps', '-T', '--entrypoint', ...parameters);
  await layer.run('kill', 'storage');
  await runAlone('sh', 'storage', '-c', 'echo nonsense > /data/metadata/CURRENT');
  await layer.run('start', 'storage');
  const container = await layer.container('storage');
  const state = async () => {
    const format = '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}';
    return (await execute('docker', ['inspect', '--format', format, container])).stdout.trim();
  };
  // compose has no restart policy by exit code: the engine restarts the container after 0.1 s to 1 min.
  await retry(async () => assert.match(await state(), /^restarting 65 [2-9]/));
  assert.match(
    await layer.run('logs', '--no-log-prefix', '--tail', '1', 'storage'),
    /the metadata in \/data is damaged \(CURRENT is damaged\).*run \\?"terrace repair --data \/data/,
  );
  await layer.run('stop', 'storage');
  assert.match(await runAlone('terrace', 'storage', 'repair'), /Lost:\n {2}nothing\n/);
  await layer.run('up', '-d', '--wait', '--scale', 'syncer=3');
  await retry(inspect);
});
