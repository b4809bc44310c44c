import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { childPath, deactivateChild, listChildren } from '#proto/accounts/children.ts';
import { gatewayActions } from '#proto/accounts/scopes.ts';
import { layersBelow } from '#proto/status/layers-below.ts';
import { presence } from '#proto/status/presence.ts';
import { CHANGES_PATH, type Changes } from '#proto/sync/changes.ts';
import { until } from '../../support/until.ts';
import { basic, bearer, granted, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig } from '../gateway-rig.ts';

/** Activation of a layer below over HTTP: the rights that it needs, and its answers. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
const operator = await layer.testBus.connect('operator');
const one = randomUUID();
const two = randomUUID();
let tokens: Tokens;
let line: Record<string, string>;

const activate = (
  instance: unknown,
  headers: Record<string, string> = {},
  { child = 'line-1', body = JSON.stringify({ instance }) } = {},
) => layer.fetch('PUT', childPath(child), { headers, body });

const first = async (response: Response) =>
  ((await response.json()) as { errors: { code: string; message: string; detail?: unknown }[] }).errors[0];

const actions = (child: string) => gatewayActions.map((action) => `gateway/${child}/${action}`);

before(async () => {
  const open = await activate(one);
  equal(open.status, 403, 'without accounts, no caller can activate a child');
  equal((await first(open))?.code, 'DENIED');
  tokens = await Tokens.of(layer);
  line = basic(
    'line-1',
    await tokens.create('line-1', [...on('base/*', 'content/read'), ...actions('line-1')]),
  );
});
beforeEach(async () => {
  layer.mode = 'ReadWrite';
  await operator.call(deactivateChild, { name: 'line-1' });
});

test("the first instance is activated, also repeatedly; another one gets the connected registry's refusal", async () => {
  const created = await activate(one, line);
  equal(created.status, 201);
  const { since, ...activated } = (await created.json()) as { since: number };
  deepEqual(activated, { child: 'line-1', instance: one });
  const again = await activate(one, line);
  equal(again.status, 200);
  equal(((await again.json()) as { since: number }).since, since);

  const refused = await activate(two, line);
  equal(refused.status, 409);
  deepEqual(await first(refused), {
    code: 'ALREADY_ACTIVATED',
    message:
      'Failed to activate the connected registry as it is already activated by another instance. Only one instance is supported at any time.',
    detail: { child: 'line-1', since, seen: since, instance: one, from: '127.0.0.1' },
  });
  await operator.call(deactivateChild, { name: 'line-1' });
  equal((await activate(two, line)).status, 201);
  equal((await activate(one, line)).status, 409);
});

test('a ReadOnly layer activates children, too, and folds their names to lower case', async () => {
  layer.mode = 'ReadOnly';
  equal((await activate(one, line)).status, 201);
  equal((await activate(two, line, { child: 'LINE-1' })).status, 409);
});

test('an activation needs config/write on exactly this child', async () => {
  const reading = await tokens.create('reading', [
    'gateway/line-1/config/read',
    'gateway/line-1/message/write',
    ...actions('line-2'),
    ...on('*', 'content/write'),
  ]);
  const rows: [Record<string, string>, string, number, string][] = [
    [basic('reading', reading), 'line-1', 403, 'DENIED'],
    [line, 'line-2', 403, 'DENIED'],
    [line, 'a%2Fb', 400, 'UNSUPPORTED'],
    [line, '*', 400, 'UNSUPPORTED'],
    [{}, 'line-1', 401, 'UNAUTHORIZED'],
    [basic('line-1', 'wrong'), 'line-1', 401, 'UNAUTHORIZED'],
  ];
  for (const [headers, child, status, code] of rows) {
    const response = await activate(one, headers, { child });
    equal(response.status, status, child);
    equal((await first(response))?.code, code);
  }
  equal((await activate(two, line)).status, 201, 'no instance was activated');
});

test('an activation by Bearer token needs the scope of the challenge', async () => {
  const challenged = await activate(one);
  equal(challenged.status, 401);
  match(challenged.headers.get('www-authenticate') ?? '', /scope="gateway:line-1:config_write"/);
  const other = await tokenFor(layer, line, 'repository:base/a:pull');
  equal((await activate(one, bearer(other))).status, 401);
  const enough = await tokenFor(layer, line, 'gateway:line-1:config_write', 'gateway:line-2:config_write');
  deepEqual(granted(enough), ['gateway:line-1:config_write']);
  equal((await activate(one, bearer(enough))).status, 201);
});

test('an invalid activation is refused with the remedy', async () => {
  const bodies = [
    '',
    'x',
    '{}',
    '[]',
    '{"instance":"x"}',
    JSON.stringify({ instance: one, more: 1 }),
    JSON.stringify({ instance: one.toUpperCase() }),
  ];
  for (const body of bodies) {
    const response = await activate(undefined, line, { body });
    equal(response.status, 400, body);
    match((await first(response))?.message ?? '', /write \{ "instance": "<UUID in lower case>" \}/);
  }
  equal((await activate(undefined, line, { body: 'x'.repeat(5_000) })).status, 413);
  const got = await layer.fetch('GET', childPath('line-1'), { headers: line });
  equal(got.status, 405);
  equal((await activate(one, line)).status, 201, 'no instance was activated');
});

test('activations and refusals are audited, and a repeated activation is not', async () => {
  // An account of its own: refusals of a kind that was recorded before are gathered.
  const own = basic('line-3', await tokens.create('line-3', actions('line-3')));
  for (const instance of [one, one, two]) {
    await (await activate(instance, own, { child: 'line-3' })).arrayBuffer();
  }
  // The line of a request is written once its answer is sent: that of a later request follows the others.
  await (await activate(one, own, { child: 'line-9' })).arrayBuffer();
  const auditLines = () => layer.logged.filter(({ audit, token }) => audit && token === 'line-3');
  await until(() => auditLines().length >= 3);
  deepEqual(
    auditLines().map(({ action, child, status }) => [action, child, status]),
    [
      ['config/write', 'line-3', 201],
      ['config/write', 'line-3', 409],
      ['config/write', 'line-9', 403],
    ],
  );
});

test('a long poll of a child records its presence and activates its instance', async () => {
  const poll = async (instance: string, headers: Record<string, string>, child = 'line-1') =>
    layer.fetch('GET', `${CHANGES_PATH}?${new URLSearchParams({ child, instance })}`, { headers });
  const isKnown = async (...parameters: Parameters<typeof poll>) =>
    ((await (await poll(...parameters)).json()) as Changes).known ?? false;
  const seen = async (child: string) => (await operator.get(presence, child))?.value.seen;

  equal(await isKnown(one, line), false, 'it has not reported its status yet');
  ok(await seen('line-1'));
  const { children } = await operator.call(listChildren, { limit: 10 });
  equal(children.find(({ name }) => name === 'line-1')?.instance, one);
  const gateway = await layer.testBus.connect('gateway');
  await gateway.put(layersBelow, 'line-1', { seen: 1, layers: [] });
  equal(await isKnown(one, line), true);

  const refused = await poll(two, line);
  equal(refused.status, 409);
  equal((await first(refused))?.code, 'ALREADY_ACTIVATED');
  equal(await isKnown(two, line, 'line-2'), false, 'a child cannot act as another one');
  equal(await seen('line-2'), undefined);
});
