import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Compose, noEngine, retry } from '../support/compose.ts';
import { Clients } from '../support/registry/clients.ts';
import { execute } from '../support/registry/debian.ts';
import { pushImage } from '../support/registry/image.ts';

/** The layers of deploy/hierarchy on a real container engine: synchronization, networks and status. */

const file = join(import.meta.dirname, '../../deploy/hierarchy/docker-compose.yml');
const hierarchy = new Compose(file, 'terrace-hierarchy-test');
const [CLOUD, FIVE, FOUR, THREE] = ['172.30.6.10', '172.30.5.10', '172.30.4.10', '172.30.3.10'];
const layers = ['layer-5', 'layer-4', 'layer-3'];
let clients: Clients;

const skip = noEngine;
const timeout = 900_000;

before(
  async () => {
    if (skip) return;
    clients = await Clients.create();
    await hierarchy.run('build', '--quiet');
    await hierarchy.run('up', '-d', '--wait');
  },
  { timeout },
);
after(
  async () => {
    if (skip) return;
    await hierarchy[Symbol.asyncDispose]();
    await clients[Symbol.asyncDispose]();
  },
  { timeout },
);

const credentials = async () =>
  `ops:${(await hierarchy.exec('layer-3', 'cat', '/secrets/ops/password')).trim()}`;

/** Waits until the layer has the image. @returns its digest */
async function digestAt(host: string, image: string): Promise<string> {
  const creds = await credentials();
  const parameters = ['inspect', '--tls-verify=false', '--creds', creds, `docker://${host}:5000/${image}`];
  return retry(async () => (JSON.parse(await clients.skopeo(...parameters)) as { Digest: string }).Digest);
}

test('an image of the cloud reaches the bottom', { skip, timeout }, async () => {
  const { digest } = await pushImage(`${CLOUD}:5000`, 'line/app', '1', { layers: [3_000_000, 40] });
  for (const host of [FIVE, FOUR, THREE] as string[]) {
    assert.equal(await digestAt(host, 'line/app:1'), digest);
  }
  const creds = await credentials();
  const source = `docker://${THREE}:5000/line/app:1`;
  await clients.skopeo(
    'copy',
    '--src-tls-verify=false',
    '--src-creds',
    creds,
    source,
    `dir:${clients.folder}/got`,
  );
});

test('an image pushed to the middle reaches the cloud, and the bottom refuses pushes', {
  skip,
  timeout,
}, async () => {
  const creds = await credentials();
  const from = `docker://${THREE}:5000/line/app:1`;
  await digestAt(THREE as string, 'line/app:1');
  const copy = [
    'copy',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    '--src-creds',
    creds,
    '--dest-creds',
    creds,
  ];
  await clients.skopeo(...copy, from, `docker://${FOUR}:5000/line/app:2`);
  await retry(async () => {
    await clients.skopeo('inspect', '--tls-verify=false', `docker://${CLOUD}:5000/line/app:2`);
  });
  await assert.rejects(
    clients.skopeo(...copy, from, `docker://${THREE}:5000/line/app:3`),
    /denied|not allowed/i,
  );
});

test('each layer reaches its neighbours and no other host', { skip, timeout }, async () => {
  const neighbours: Record<string, string[]> = {
    'layer-5': ['cloud', 'layer-4', CLOUD as string, FIVE as string],
    'layer-4': ['layer-5', 'layer-3', FIVE as string, FOUR as string],
    'layer-3': ['layer-4', FOUR as string, THREE as string],
  };
  const hosts = ['cloud', ...layers, CLOUD, FIVE, FOUR, THREE] as string[];
  for (const [layer, reachable] of Object.entries(neighbours)) {
    for (const host of hosts.filter((one) => one !== layer)) {
      const found = await hierarchy.connectResult(layer, host);
      if (reachable.includes(host)) assert.equal(found, 'open', `${layer} to ${host}`);
      else
        assert.match(
          found,
          /^(EAI_AGAIN|ENOTFOUND|ENETUNREACH|EHOSTUNREACH|timeout)$/,
          `${layer} to ${host}`,
        );
    }
    assert.match(
      await hierarchy.connectResult(layer, '1.1.1.1', 443),
      /^(ENETUNREACH|EHOSTUNREACH|timeout)$/,
      layer,
    );
  }
});

test('no layer runs as root or writes outside of its data volume', { skip, timeout }, async () => {
  for (const layer of layers) {
    assert.notEqual((await hierarchy.exec(layer, 'id', '-u')).trim(), '0');
    assert.match(await hierarchy.execFailing(layer, 'touch', '/opt/terrace/x'), /Read-only file system/);
    const container = await hierarchy.run('ps', '--format', 'json', layer);
    assert.equal((JSON.parse(container) as { Health: string }).Health, 'healthy');
  }
});

test('the status of the top names all layers below', { skip, timeout }, async () => {
  await retry(async () => {
    const status = await hierarchy.exec('layer-5', 'terrace', 'status');
    assert.match(status, /layer-4/);
    assert.match(status, /layer-3/);
  });
});

test('a layer without its network is Offline within 90 s, here and at its parent, and Online again with it', {
  skip,
  timeout,
}, async () => {
  const status = (layer: string) => hierarchy.exec(layer, 'terrace', 'status');
  const [network, container] = [
    'terrace-hierarchy-test_between-5-and-4',
    await hierarchy.container('layer-4'),
  ];
  await retry(async () => assert.match(await status('layer-4'), /^Parent .*: Online$/m));
  await execute('docker', ['network', 'disconnect', network, container]);
  try {
    // The kernel ends the connection of the idle long poll after 25 s.
    await retry(async () => assert.match(await status('layer-4'), /^Parent .*: Offline: /m), 40_000);
    await retry(async () => assert.match(await status('layer-5'), /^layer-4 .* Offline .*no contact since/m));
  } finally {
    await execute('docker', ['network', 'connect', '--alias', 'layer-4', network, container]);
  }
  await retry(async () => assert.match(await status('layer-4'), /^Parent .*: Online$/m), 40_000);
  await retry(async () => assert.match(await status('layer-5'), /^layer-4 .* Online /m), 40_000);
});

test('after a kill of all containers, the content is still there and synchronization continues', {
  skip,
  timeout,
}, async () => {
  const digest = await digestAt(THREE as string, 'line/app:1');
  await hierarchy.run('kill');
  await hierarchy.run('up', '-d', '--wait');
  assert.equal(await digestAt(THREE as string, 'line/app:1'), digest);
  const next = await pushImage(`${CLOUD}:5000`, 'line/app', 'after', { layers: [1_000] });
  assert.equal(await digestAt(THREE as string, 'line/app:after'), next.digest);
});

test('a container with the environment of the connected registry becomes a child of the top', {
  skip,
  timeout,
}, async () => {
  const created = await hierarchy.exec(
    'layer-5',
    ...'terrace child create quay01 --repository line/* --json'.split(' '),
  );
  const { password } = JSON.parse(created) as { password: string };
  const connection = `ConnectedRegistryName=quay01;SyncTokenName=quay01;SyncTokenPassword=${password};ParentGatewayEndpoint=layer-5:5000;ParentEndpointProtocol=http`;
  const parameters = [
    'run',
    '-d',
    '--rm',
    '--network',
    'terrace-hierarchy-test_between-5-and-4',
    '--ip',
    '172.30.5.20',
  ];
  const hardening = ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '-v', '/var/acr/data'];
  const env = ['-e', `ACR_REGISTRY_CONNECTION_STRING=${connection}`];
  const { stdout } = await execute('docker', [...parameters, ...hardening, ...env, 'terrace']);
  const container = stdout.trim();
  try {
    const digest = await digestAt(FIVE as string, 'line/app:1');
    const token = ['exec', container, 'terrace', 'token', 'create', 'reader', '--pull', '*'];
    const reader = await retry(async () => (await execute('docker', token)).stdout.trim());
    const from = 'docker://172.30.5.20:8080/line/app:1';
    const inspect = ['inspect', '--tls-verify=false', '--creds', `reader:${reader}`, from];
    const found = await retry(async () => JSON.parse(await clients.skopeo(...inspect)) as { Digest: string });
    assert.equal(found.Digest, digest);
    await execute('docker', ['exec', container, 'terrace', 'health']);
  } catch (error) {
    const { stdout: log } = await execute('docker', ['logs', '--tail', '30', container]);
    throw new Error(log, { cause: error });
  } finally {
    await execute('docker', ['kill', container]);
  }
});
