import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createToken } from '#proto/accounts/accounts.ts';
import { actionsOfChild } from '#proto/accounts/permission-words.ts';
import type { Tls } from '#proto/document/configuration.ts';
import { workloadOf } from '#proto/iot-edge/workload.ts';
import { Authority } from '../support/certificates.ts';
import { ApiProxy } from '../support/iot-edge/api-proxy.ts';
import { WorkloadApi } from '../support/iot-edge/workload-api.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { Clients } from '../support/registry/clients.ts';
import { firstDifference, pushImage } from '../support/registry/image.ts';

/**
 * Three IoT Edge devices, one below the other, each with the API proxy on its only port and a certificate of its
 * daemon. The top one and the lowest one have a registry, the one between has none. The registry of the lowest device
 * trusts the device above by the trust bundle of its daemon.
 */

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());

let authority: Authority;
let trust: string;
let clients: Clients;
let device: WorkloadApi;
let top: TestLayer;
let upper: ApiProxy;
let between: ApiProxy;
let sync: { name: string; passwordFile: string; password: string };

/** A certificate that the proxy module requests from its daemon, in the files that nginx reads. */
async function certificate(name: string): Promise<Tls> {
  const issued = await workloadOf(device.env)?.serverCertificate('localhost');
  const files = {
    certificateFile: join(clients.folder, `${name}.crt`),
    keyFile: join(clients.folder, `${name}.key`),
  };
  await writeFile(files.certificateFile, issued?.certificate ?? '');
  await writeFile(files.keyFile, issued?.privateKey ?? '', { mode: 0o600 });
  return files;
}

before(async () => {
  authority = stack.use(await Authority.create());
  clients = stack.use(await Clients.create());
  device = stack.use(await WorkloadApi.start(authority));
  trust = await authority.trustFolder();
  top = stack.use(await testLayer({ name: 'top', challenge: 'Basic', compact: 'hosted' }));
  for (const name of ['terrace', 'line/app']) {
    const image = await clients.buildSmallImage(name);
    await clients.podman('push', '--tls-verify=false', image, `docker://${top.host}/${name}:1`);
  }
  await pushImage(top.host, 'line/data', '1', { layers: [2_000_000, 30_000] });
  const actions = actionsOfChild('line-1', 'ReadOnly', ['line/*', 'terrace']);
  const { password } = await top.bus().call(createToken, { name: 'line-1', actions });
  const passwordFile = join(clients.folder, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  sync = { name: 'line-1', password, passwordFile };
  upper = stack.use(await ApiProxy.start({ tls: await certificate('upper'), to: { gateway: top.host } }));
  const to = { parent: upper.host, authority: authority.certificate };
  between = stack.use(await ApiProxy.start({ tls: await certificate('between'), to }));
});

test('the lowest device pulls its module with its sync token, then its registry syncs and serves pulls', async () => {
  const creds = ['--cert-dir', trust, '--creds', `${sync.name}:${sync.password}`];
  await clients.podman('pull', '-q', ...creds, `${between.host}/terrace:1`);
  await assert.rejects(
    clients.podman('pull', '-q', '--cert-dir', trust, '--creds', 'line-1:wrong', `${between.host}/terrace:1`),
  );

  // Its hub is unreachable, so it starts with the last document of its twin.
  const data = join(clients.folder, 'data');
  await mkdir(data);
  const text = JSON.stringify({ repositories: ['line/*', 'terrace'] });
  await writeFile(join(data, 'twin.json'), JSON.stringify({ version: 1, text }));
  await using below = await testLayer({
    data,
    name: 'line-1',
    parent: { url: `https://${between.host}`, username: sync.name, passwordFile: sync.passwordFile },
    compact: 'hosted',
    env: device.env,
  });
  const { ok, failures } = await below.sync();
  assert.ok(ok, JSON.stringify(failures));
  const { password } = await below.bus().call(createToken, {
    name: 'plant',
    actions: ['repositories/*/content/read', 'repositories/*/metadata/read'],
  });
  const topHost = `http://${sync.name}:${encodeURIComponent(sync.password)}@${top.host}`;
  const lowestHost = `http://plant:${encodeURIComponent(password)}@${below.host}`;
  assert.equal(await firstDifference(topHost, lowestHost, ['line/app', 'line/data', 'terrace']), undefined);

  await using front = await ApiProxy.start({ tls: await certificate('front'), to: { gateway: below.host } });
  const plant = ['--cert-dir', trust, '--creds', `plant:${password}`];
  await clients.podman('pull', '-q', ...plant, `${front.host}/line/app:1`);

  for (const proxy of [upper, between]) {
    const requests = await proxy.requests();
    assert.deepEqual(
      requests.filter((line) => !/ \/v2/.test(line)),
      [],
      'the proxies between registries forward nothing but /v2',
    );
  }
});
