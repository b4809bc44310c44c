import { deepEqual, equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Configuration } from '#proto/document/configuration.ts';
import { until } from '../../support/until.ts';
import { basic, Tokens } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { raw } from '../http.ts';

/** The listener of operators: what is served where. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const always = async () => true;
const { operators } = layer.gateway;

function listenOn(listen: string | undefined, mayListen = always): void {
  layer.configuration = (listen === undefined ? undefined : { operate: { listen } }) as
    | Configuration
    | undefined;
  operators.apply(listen, mayListen);
}
const ofOperators = async (path: string, headers: Record<string, string> = {}) =>
  (await fetch(`http://127.0.0.1:${operators.address?.port}${path}`, { headers })).status;
const ofClients = async (path: string, headers: Record<string, string> = {}) =>
  (await layer.fetch('GET', path, { headers })).status;

test('without a listener of their own, operators use that of clients', async () => {
  deepEqual([await ofClients('/api/v1/storage'), await ofClients('/v2/')], [200, 200]);
});

test('API and metrics are served on the listener of operators alone, and content on that of clients', async () => {
  listenOn('127.0.0.1:0');
  await until(() => operators.address !== undefined);
  for (const path of ['/api/v1/storage', '/api/v1/openapi.json', '/metrics']) {
    deepEqual([path, await ofOperators(path), await ofClients(path)], [path, 200, 404]);
  }
  for (const path of ['/', '/ui/', '/ui', '/api/', '/api/v1/none', '/metrics?x=1'])
    equal(await ofClients(path), 404, path);
  for (const path of ['/v2/', '/v2/_catalog', '/v2/a/tags/list', '/v2/_terrace/changes']) {
    equal(await ofOperators(path), 404, path);
  }
  deepEqual([await ofOperators('/healthz'), await ofOperators('/v2/token')], [200, 200]);
  deepEqual(
    [await ofClients('/healthz'), await ofClients('/v2/token'), await ofClients('/v2/')],
    [200, 200, 200],
  );
});

/** Status of a request with this target, which no client would normalize. */
async function statusOf(port: number | undefined, target: string, method = 'GET'): Promise<number> {
  const text = await raw(
    port ?? 0,
    `${method} ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
  );
  return Number(text.split(' ', 2)[1]);
}

test('every route is known to be one of clients, of operators, or of both', () => {
  const groups = new Set(layer.routes.map((route) => route.split('/')[1]));
  deepEqual([...groups].sort(), ['', ...['acr', 'api', 'healthz', 'metrics', 'oauth2', 'ui', 'v2']]);
});

test('a path is on one listener alone, however it is written', async () => {
  const ofOperators = [
    ...[
      '/',
      '/?x',
      '/ui',
      '/u%69',
      '/ui/',
      '/u%69/',
      '/ui/none',
      '/ui?x',
      '/%75i/page.js',
      '/metrics',
      '/metric%73',
    ],
    ...['/metrics?x', '/metrics#x', '/%6detrics', '/api/v1/layer', '/%61pi/v1/layer', '/api/v%31/layer'],
    ...['/api/v1/layer?', '/api/v1/layer#x', '/api/v1/openapi.json', '/api/v1/repositories/a/b/tags'],
  ];
  const ofClients = [
    '/v2',
    '/v2/',
    '/%762/',
    '/v2/_catalog',
    '/v2/_catalo%67',
    '/v2/?x',
    '/v2/#x',
    '/oauth2/token',
    '/acr/oauth2/token',
  ];
  const forms = (paths: string[]) => paths.flatMap((path) => [path, `http://x${path}`, `HTTP://x:80${path}`]);
  const { port } = operators.address ?? {};
  for (const method of ['GET', 'HEAD', 'POST', 'DELETE']) {
    for (const target of forms(ofOperators)) {
      equal(await statusOf(layer.port, target, method), 404, `${method} ${target}, listener of clients`);
    }
    for (const target of forms(ofClients)) {
      equal(await statusOf(port, target, method), 404, `${method} ${target}, listener of operators`);
    }
  }
  for (const target of ['/metric%73', '/%61pi/v1/layer', 'http://x/api/v1/layer', '/metrics#x', '/u%69']) {
    equal([200, 302].includes(await statusOf(port, target)), true, target);
  }
  for (const target of ['/%762/', 'http://localhost/v2/', '/v2/#x', '/oauth2/token', '/acr/oauth2/token']) {
    equal(await statusOf(layer.port, target), 200, target);
  }
  equal(layer.logged.filter(({ audit }) => audit).length, 0, 'what is not there is not refused');
});

test('with accounts, the API needs a login there, and the metrics do not', async () => {
  const login = basic('ops', await (await Tokens.of(layer)).create('ops', ['operate/read']));
  deepEqual([await ofOperators('/api/v1/storage'), await ofOperators('/api/v1/storage', login)], [401, 200]);
  equal(await ofOperators('/metrics'), 200);
  equal(await ofClients('/metrics', login), 404);
});

test('another login server does not concern it', async () => {
  layer.configuration = { operate: { listen: '127.0.0.1:0' }, loginServer: 'plant.example' } as Configuration;
  deepEqual([await ofOperators('/metrics'), await ofClients('/v2/')], [200, 421]);
});

test('it waits until its address may be served, moves with the configuration, and ends with it', async () => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const before = operators.address?.port;
  listenOn('127.0.0.1:00', () => promise);
  equal(operators.address, undefined);
  equal(await ofClients('/metrics'), 404, 'it is hidden from clients meanwhile');
  resolve(true);
  await until(() => operators.address !== undefined);
  equal(await ofOperators('/metrics'), 200);
  equal(typeof before, 'number');
  listenOn(undefined);
  equal(operators.address, undefined);
  equal(await ofClients('/metrics'), 401);
});

test('an address in use is tried again', async () => {
  listenOn(`127.0.0.1:${layer.port}`);
  await until(() => layer.logged.some(({ message }) => message === 'operators are not served; retrying'));
  equal(await ofClients('/v2/'), 401);
  listenOn(undefined);
});
