import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Clients } from '../support/clients.ts';
import { Compose, noEngine, until } from '../support/compose.ts';
import { freePort } from '../support/ports.ts';

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

test('what was pushed survives the end of every container', { skip, timeout }, async () => {
  await layer.run('kill');
  await layer.run('up', '-d', '--wait', '--scale', 'syncer=3');
  const words = ['inspect', '--tls-verify=false', '--creds', `ci:${password}`, `docker://${host}/app:1`];
  await until(() => clients.skopeo(...words));
});
