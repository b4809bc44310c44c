import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hashPassword } from '#proto/accounts/password-hash.ts';
import { manifestComplaints } from '../../cli/iotedge/iotedge-check.ts';
import { Acr } from '../support/azure/acr.ts';
import { Authority } from '../support/certificates.ts';
import { ApiProxy } from '../support/iot-edge/api-proxy.ts';
import { Device, type Pull, type Site } from '../support/iot-edge/device.ts';
import { freePort } from '../support/ports.ts';
import { Clients } from '../support/registry/clients.ts';
import { startCloud } from '../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../support/registry/image.ts';
import { runCommand } from '../support/terrace.ts';

/**
 * The three manifests of deploy/iotedge as they are, apart from their placeholders and their port, on three devices: a
 * top layer below the cloud, below it a layer without a registry, and a nested layer below that.
 */

const folder = join(import.meta.dirname, '../../deploy/iotedge');
const EDGE = ['azureiotedge-agent', 'azureiotedge-hub', 'azureiotedge-api-proxy'];
const VERSION: Record<string, string> = { 'azureiotedge-api-proxy': '1.1' };
const CONTENT = ['line/web', 'base/os'];
const passwords = { plant: 'the-password-of-plant', 'line-1': 'the-password-of-line-1' };
const readable = ['pull', 'metadata_read'];

const stack = new AsyncDisposableStack();
let site: Site;
let trust: string;
let clients: Clients;
let acr: Acr;
let manifests: Record<'top' | 'pass-through' | 'nested', object>;
let port: number;

before(async () => {
  const authority = stack.use(await Authority.create());
  clients = stack.use(await Clients.create());
  trust = await authority.trustFolder();
  const microsoft = stack.use(await startCloud());
  const rights = Object.fromEntries([...EDGE, ...CONTENT, 'terrace'].map((name) => [name, readable]));
  const account = { username: 'plant', password: passwords.plant };
  acr = stack.use(await Acr.start({ authority, holders: [{ account, rights }] }));
  for (const name of EDGE) {
    const tag = VERSION[name] ?? '1.6';
    await pushImage(microsoft.host, name, tag);
    await pushImage(acr.backendUrl, name, tag);
  }
  await pushImage(acr.backendUrl, 'terrace', '1');
  for (const name of CONTENT) await pushImage(acr.backendUrl, name, '1', { layers: [300_000, 20_000] });
  const front = { tls: await authority.issue('microsoft'), to: { gateway: microsoft.host } };
  const { host } = stack.use(await ApiProxy.start(front));
  site = { authority, internet: { 'contoso.azurecr.io': acr.host, 'mcr.microsoft.com': host } };
  port = await freePort();
  const hash = await hashPassword(passwords['line-1']);
  const filled = async (name: string, password: string) => {
    const text = await readFile(join(folder, `${name}.json`), 'utf8');
    const manifest = JSON.parse(
      text
        .replaceAll('<SYNC_TOKEN_PASSWORD>', password)
        .replaceAll('<HASH_OF_LINE_1>', hash)
        .replaceAll(/\b8000\b/g, String(port)),
    );
    assert.deepEqual(manifestComplaints(manifest), []);
    return manifest;
  };
  manifests = {
    top: await filled('top', passwords.plant),
    'pass-through': await filled('pass-through', passwords['line-1']),
    nested: await filled('nested', passwords['line-1']),
  };
});
after(() => stack.disposeAsync());

/** Pulls an image. Without a login, with the one that a client stored for the registry, if there is one. */
async function pull({ image, login }: Pull): Promise<void> {
  const credentials = login ? ['--src-creds', `${login.username}:${login.password}`] : [];
  const to = `dir:${join(clients.folder, image.replaceAll(/\W/g, '-'))}`;
  await clients.skopeo('copy', '-q', '--src-cert-dir', trust, ...credentials, `docker://${image}`, to);
}

async function deploy(name: keyof typeof manifests, address: string, parent?: string): Promise<Device> {
  const manifest = manifests[name];
  const device = stack.use(await Device.deploy(site, { address, ...(parent && { parent }), manifest }));
  const registries = new Set(device.pulls.map(({ image }) => image.split('/')[0]));
  assert.deepEqual(
    [...registries],
    parent ? [`${parent}:${port}`] : [...Object.values(site.internet)].toReversed(),
  );
  assert.equal(device.pulls.length, name === 'pass-through' ? 3 : 4);
  for (const one of device.pulls) await pull(one);
  if (!device.registry) return device;
  const synced = await runCommand('sync', '--data', device.data);
  assert.equal(synced.code, 0, `${synced.text}\n${device.terrace?.text.slice(-3_000)}`);
  return device;
}

test('each device pulls all images of its manifest from above, and content reaches the lowest layer', async () => {
  const top = await deploy('top', '127.0.0.1');
  const between = await deploy('pass-through', '127.0.0.2', top.address);
  const lowest = await deploy('nested', '127.0.0.3', between.address);

  const created = await runCommand('token', 'create', 'operator', '--pull', '*', '--data', lowest.data);
  const operator = created.stdout.trim();
  const from = `http://operator:${operator}@${lowest.registry}`;
  assert.equal(await firstDifference(acr.backendUrl, from, ['line/web']), undefined);

  // Clients of the layer without a registry do not know the name of the layer above.
  for (const [{ proxy }, name, password] of [
    [lowest, 'operator', operator],
    [between, 'line-1', passwords['line-1']],
  ] as const) {
    const login = ['login', '--cert-dir', trust, '-u', name, '-p', password, proxy.host];
    await clients.podman(...login);
    await clients.skopeo(...login);
    await pull({ image: `${proxy.host}/line/web:1` });
  }
  for (const { proxy } of [top, between, lowest]) {
    const lines = await proxy.requests();
    assert.deepEqual(
      lines.filter((line) => line.includes('/token') || !/ \/v2/.test(line)),
      [],
      'no client needs a token service, and nothing but /v2 is forwarded',
    );
  }
});
