import { equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { hostname, networkInterfaces } from 'node:os';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { buildApp, closeApp } from '../../../services/gateway/app.ts';
import { configurationWith } from '../../support/configuration.ts';
import { ALL, basic, on, Tokens } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { errorBody } from '../rows.ts';

/** A layer without accounts serves the clients of its machine, but no web page in a browser on it. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const PATHS = [
  '/v2/',
  '/v2/app/manifests/v1',
  '/v2/_catalog',
  '/v2/token',
  '/v2/_terrace/changes',
  '/nowhere',
];

async function send(method: string, path: string, headers: Record<string, string>, port = layer.port) {
  const sent = request({ host: '127.0.0.1', port, method, path, headers }).end();
  const [response] = await once(sent, 'response');
  return { status: response.statusCode as number, body: await text(response) };
}

async function refuses(status: number, headers: Record<string, string>): Promise<void> {
  for (const method of METHODS) {
    for (const path of PATHS) {
      const { status: actual, body } = await send(method, path, headers);
      equal(actual, status, `${method} ${path} ${JSON.stringify(headers)}`);
      if (method === 'HEAD') continue;
      errorBody(body, 'DENIED');
      match(body, /has no accounts.*terrace token create/);
    }
  }
}

const { address } =
  Object.values(networkInterfaces())
    .flat()
    .find((one) => one && !one.internal && !one.address.includes(':')) ?? {};

test('requests to a name of this machine are served', async () => {
  for (const host of [
    `127.0.0.1:${layer.port}`,
    'localhost:5000',
    'LOCALHOST',
    'registry.localhost:5000',
    '[::1]:5000',
    '127.0.0.53',
    `${hostname()}:5000`,
    'host.containers.internal:5000',
    'host.docker.internal:5000',
    ...(address ? [`${address}:5000`] : []),
  ]) {
    equal((await send('GET', '/v2/', { host })).status, 200, host);
  }
});

test('requests to any other name are refused: a web page may resolve its own name to this machine', async () => {
  await refuses(421, { host: 'attacker.example:5000' });
  await refuses(421, { host: 'localhost.attacker.example' });
  await refuses(421, { host: '192.0.2.7:5000' });
});

test('a web page that reached the layer by its own name cannot forward another one', async () => {
  await refuses(421, { host: 'attacker.example', 'x-forwarded-host': 'localhost:5000' });
  await refuses(421, { host: 'localhost:5000', 'x-forwarded-host': 'attacker.example' });
  layer.configuration = configurationWith({ loginServer: 'registry.example' });
  const headers = { host: 'attacker.example', 'x-forwarded-host': 'registry.example' };
  equal((await send('DELETE', '/v2/app/manifests/v1', headers)).status, 421);
  equal((await send('GET', '/v2/', { host: 'registry.example' })).status, 200);
  layer.configuration = undefined;
});

test('cross-site requests are refused with every method', async () => {
  const host = 'localhost:5000';
  await refuses(403, { host, origin: 'https://attacker.example' });
  await refuses(403, { host, origin: 'null' });
  await refuses(403, { host, origin: 'http://localhost:3000' });
  await refuses(403, { host, 'sec-fetch-site': 'cross-site' });
  equal((await send('GET', '/v2/', { host, origin: `http://${host}` })).status, 200);
  equal((await send('GET', '/v2/', { host, 'sec-fetch-site': 'same-origin' })).status, 200);
  equal((await send('GET', '/v2/', { host: 'localhost:443', origin: 'https://localhost' })).status, 200);
  equal((await send('GET', '/v2/', { host: 'localhost:443', origin: 'http://localhost' })).status, 403);
  equal((await send('GET', '/v2/', { host, 'sec-fetch-site': 'none' })).status, 200);
});

test('a DELETE by DNS rebinding does not delete the tag', async () => {
  const body = JSON.stringify({ schemaVersion: 2, manifests: [] });
  const headers = { 'content-type': 'application/vnd.oci.image.index.v1+json' };
  equal((await layer.fetch('PUT', '/v2/app/manifests/v1', { headers, body })).status, 201);
  equal((await send('DELETE', '/v2/app/manifests/v1', { host: 'attacker.example' })).status, 421);
  equal((await layer.fetch('HEAD', '/v2/app/manifests/v1')).status, 200);
});

test('with anyName, an open layer serves any host name, and still refuses cross-site requests', async (t) => {
  const { bus, gateway } = layer;
  const others = { volume: gateway.volume, instance: 'other', mode: gateway.mode, log: gateway.log };
  const open = buildApp({ bus, ...others, open: true, anyName: true });
  t.after(() => closeApp(open.app, open.gateway));
  await open.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = open.app.server.address() as { port: number };
  equal((await send('GET', '/v2/', { host: 'registry.example' }, port)).status, 200);
  const page = { host: 'registry.example', origin: 'https://attacker.example' };
  equal((await send('GET', '/v2/', page, port)).status, 403);
});

test('in a layer with accounts, the credentials decide, not the host name or the origin', async () => {
  const tokens = await Tokens.of(layer);
  const headers = basic('ci', await tokens.create('ci', on('*', ...ALL)));
  for (const more of [{ host: 'attacker.example' }, { host: 'localhost', origin: 'https://a.example' }]) {
    equal((await send('GET', '/v2/', more as Record<string, string>)).status, 401);
    equal((await send('GET', '/v2/', { ...headers, ...more })).status, 200);
  }
});
