import { equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { configurationWith } from '../../support/configuration.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { get } from '../http.ts';
import { errorBody } from '../rows.ts';

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

async function serves(host: string, forwarded?: string, path = '/v2/'): Promise<void> {
  const { status, body } = await get(layer.port, path, headers(host, forwarded));
  equal(status, 200, `${host}: ${body}`);
}

async function refuses(host: string, forwarded?: string, path = '/v2/'): Promise<void> {
  const { status, body } = await get(layer.port, path, headers(host, forwarded));
  equal(status, 421, host);
  errorBody(body, 'DENIED');
}

const headers = (host: string, forwarded?: string) => ({
  host,
  ...(forwarded && { 'x-forwarded-host': forwarded }),
});

test('without a login server, any name of this machine is served, and an invalid host is refused', async () => {
  await serves('localhost:1');
  const { status, body } = await get(layer.port, '/v2/', { host: 'a"b' });
  equal(status, 400);
  errorBody(body, 'UNSUPPORTED');
});

test('with a login server, only requests to that name are served, from the next request on', async () => {
  layer.configuration = configurationWith({ loginServer: 'Registry.example' });
  for (const host of [
    'registry.example',
    'REGISTRY.example',
    'registry.example:443',
    'registry.example:80',
  ]) {
    await serves(host);
  }
  for (const host of ['registry.example:5000', 'other.example', `127.0.0.1:${layer.port}`]) {
    for (const path of ['/v2/', '/v2/a/manifests/x', '/v2/token', '/elsewhere']) {
      await refuses(host, undefined, path);
    }
    await serves(host, undefined, '/healthz');
  }
  layer.configuration = configurationWith({ loginServer: 'registry.example:5000' });
  await serves('registry.example:5000');
  await refuses('registry.example');
  await refuses('registry.example:443');
  layer.configuration = configurationWith();
  await serves('localhost');
});

test('behind a trusted proxy, the forwarded host is compared with the login server', async () => {
  const loginServer = 'registry.example:8000';
  layer.configuration = configurationWith({ loginServer });
  await serves('localhost:8080', loginServer);
  await refuses(loginServer, 'other.example');
  layer.configuration = configurationWith({ loginServer, trustedProxies: [] });
  await refuses('localhost:8080', loginServer);
  await serves(loginServer, 'localhost');
});
