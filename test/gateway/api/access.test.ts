import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buildApp, closeApp } from '../../../services/gateway/app.ts';
import { ALL, basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { ApiClient } from './api-client.ts';

/** Who may call which operation of the API: each caller × each operation. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const SCOPE = 'operate:layer:read,write';
const callers = new Map<string, Record<string, string>>();
let api: ApiClient;

/** What a caller gets for a right: `yes`, or the status of the refusal. */
const table = `
                     operate/read  operate/write  login  nothing
  no credentials     401           401            401    yes
  wrong password     401           401            401    yes
  wrong Bearer       401           401            401    yes
  disabled           401           401            401    yes
  pull and push      403           403            yes    yes
  all repositories   403           403            yes    yes
  a child            403           403            yes    yes
  reader             yes           403            yes    yes
  operator           yes           yes            yes    yes
  writer             403           yes            yes    yes
  Bearer, no scope   401           401            yes    yes
  Bearer, read       yes           401            yes    yes
  Bearer, all        yes           yes            yes    yes
  Bearer of reader   yes           403            yes    yes
`;
const rows = table
  .trim()
  .split('\n')
  .map((line) => line.trim().split(/ {2,}/));
const [columns = [], ...lines] = rows;

before(async () => {
  // While the layer is open.
  api = await ApiClient.of(layer);
  const tokens = await Tokens.of(layer);
  const create = async (name: string, actions: string[]) => basic(name, await tokens.create(name, actions));
  const both = ['operate/read', 'operate/write'];
  callers.set('no credentials', {});
  callers.set('pull and push', await create('client', on('line/*', ...ALL)));
  callers.set('all repositories', await create('admin', on('*', ...ALL)));
  callers.set('a child', await create('cell', ['gateway/cell/config/write', 'gateway/cell/message/write']));
  const reader = await create('reader', ['operate/read']);
  const operator = await create('operator', both);
  callers.set('reader', reader);
  callers.set('operator', operator);
  callers.set('writer', await create('writer', ['operate/write']));
  callers.set('disabled', await create('disabled', both));
  callers.set('wrong password', basic('operator', 'wrong'));
  callers.set('wrong Bearer', bearer('a.b.c'));
  callers.set('Bearer, no scope', bearer(await tokenFor(layer, operator)));
  callers.set('Bearer, read', bearer(await tokenFor(layer, operator, 'operate:layer:read')));
  callers.set('Bearer, all', bearer(await tokenFor(layer, operator, SCOPE)));
  callers.set('Bearer of reader', bearer(await tokenFor(layer, reader, SCOPE)));
  await tokens.enable('disabled', false);
});

/** A path without parameters; what it names does not exist. */
const pathOf = (template: string) =>
  template
    .replace('/api/v1', '')
    .replace('{name}', 'none')
    .replace('{reference}', 'none')
    .replace('{child}', 'none');

test('the document has every route of the API', () => {
  const routes = new Set(layer.routes.filter((route) => route.startsWith('/api/')));
  const paths = new Set(api.operations.map((one) => one.split(' ')[1]?.replace(/\{(\w+)\}/g, ':$1')));
  deepEqual(
    [...routes].filter((route) => /\w$/.test(route) && !paths.has(route) && !isPrefix(route, paths)),
    [],
  );
});

const isPrefix = (route: string, paths: Set<string | undefined>) =>
  [...paths].some((path) => path?.startsWith(`${route}/`) && !paths.has(route));

for (const [caller = '', ...cells] of lines) {
  test(`${caller} gets the answers of the table for every operation`, async () => {
    const headers = callers.get(caller);
    ok(headers, caller);
    const client = api.as(headers);
    // Each wrong password costs a hash, and is counted: one operation of each right is enough.
    const tried = new Set<string>();
    for (const [operation, needs] of api.needs) {
      if (caller === 'wrong password' && tried.has(needs)) continue;
      tried.add(needs);
      const [method = '', template = ''] = operation.split(' ');
      // Logins and streams have tests of their own.
      if (template.endsWith('/session') || template.endsWith('/stream')) continue;
      // An unknown parameter is refused after the rights are checked, so nothing is changed.
      const { status, headers: answered } = await client.send(method, `${pathOf(template)}?unknown=1`);
      const cell = cells[columns.indexOf(needs)];
      equal(status, cell === 'yes' ? 400 : Number(cell), `${operation}: ${needs}`);
      equal(answered.has('www-authenticate'), status === 401, operation);
      if (status === 401 && needs.startsWith('operate/')) {
        const scope = `scope="operate:layer:${needs.slice(8)}"`;
        ok(answered.get('www-authenticate')?.includes(scope), answered.get('www-authenticate') ?? '');
      }
    }
  });
}

test('a layer without accounts lets everyone operate it only if no other machine reaches it', async () => {
  await using open = await GatewayRig.start();
  const client = await ApiClient.of(open);
  equal((await client.get('/layer')).status, 200);
  const { bus, volume, instance, mode, configuration, log } = open.gateway;
  const options = { bus, volume, instance, mode, configuration, log, open: true, anyName: true };
  const { app, gateway } = buildApp(options);
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
  for (const [operation, needs] of client.needs) {
    const [method = '', template = ''] = operation.split(' ');
    if (!needs.startsWith('operate/')) continue;
    const response = await fetch(`http://127.0.0.1:${port}/api/v1${pathOf(template)}`, { method });
    equal(response.status, 403, operation);
    ok((await response.text()).includes('terrace token create NAME --operate'));
  }
  equal((await fetch(`http://127.0.0.1:${port}/v2/`)).status, 200);
  await closeApp(app, gateway);
});

test('a page of another site changes nothing, whatever credentials its browser adds', async () => {
  const client = api.as(callers.get('operator') ?? {});
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
  ] as Record<string, string>[]) {
    for (const [operation] of client.needs) {
      const [method = '', template = ''] = operation.split(' ');
      if (method === 'GET') continue;
      const { status } = await client.send(method, pathOf(template), { headers, body: {} });
      equal(status, 403, `${operation} ${JSON.stringify(headers)}`);
    }
  }
});
