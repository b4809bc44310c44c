import { equal, match } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PARENT_NAME_HEADER } from '#proto/accounts/children.ts';
import { CHANGES_PATH } from '#proto/sync/changes.ts';
import { ALL, basic, on, Tokens } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';

/** Clients that know the registry by a name other than that of their requests are asked to log in with Basic. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

let login: Record<string, string>;
before(async () => {
  login = basic('line-1', await (await Tokens.of(layer)).create('line-1', on('*', ...ALL)));
});

async function schemeFor(headers: Record<string, string> = {}): Promise<string> {
  const response = await layer.fetch('GET', '/v2/', { headers });
  equal(response.status, 401);
  return (response.headers.get('www-authenticate') ?? '').split(' ')[0] ?? '';
}

const feedAs = (name: string, headers: Record<string, string> = login) =>
  layer.fetch('GET', CHANGES_PATH, { headers: { ...headers, [PARENT_NAME_HEADER]: name } });

test('several proxies that name the host: Basic, for this request', async () => {
  equal(await schemeFor({ 'x-forwarded-host': 'lower.example:8000, upper.example:8000' }), 'Basic');
  equal(await schemeFor({ 'x-forwarded-host': 'upper.example:8000' }), 'Bearer');
  equal(await schemeFor(), 'Bearer');
});

test('a layer below that names its parent as its requests do changes nothing', async () => {
  equal((await feedAs(`127.0.0.1:${layer.port}`)).status, 200);
  const forwarded = { ...login, 'x-forwarded-host': 'Upper.example:443' };
  equal((await feedAs('upper.example', forwarded)).status, 200);
  equal(await schemeFor(), 'Bearer');
});

test('without a valid login, the name that a request claims changes nothing', async () => {
  equal((await feedAs('lower.example:8000', {})).status, 401);
  equal((await feedAs('lower.example:8000', basic('line-1', 'wrong-password'))).status, 401);
  equal(await schemeFor(), 'Bearer');
});

test('a layer below that reaches this one through a proxy that replaces the name: Basic from then on', async () => {
  equal((await feedAs('lower.example:8000')).status, 200);
  equal(await schemeFor(), 'Basic');
  match(
    (await layer.fetch('GET', '/v2/', { headers: login })).headers.get('docker-distribution-api-version') ??
      '',
    /2/,
  );
});
