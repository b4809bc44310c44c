import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hashPassword } from '#proto/accounts/password-hash.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { bridgeStatus } from '#proto/status/status.ts';
import { Azure } from '../support/azure/azure.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { pushImage } from '../support/registry/image.ts';
import { run } from '../support/terrace.ts';
import { until as untilSo } from '../support/until.ts';
import { Edge } from '../twin-bridge/iot-edge/rig.ts';

/** A layer in one process that only its module twin configures, below an Azure Container Registry. */

const NEVER = '0 0 1 1 *';
const stack = new AsyncDisposableStack();
let azure: Azure;
let edge: Edge;
let layer: TestLayer;
let document: Record<string, unknown>;
const digests: string[] = [];

before(async () => {
  azure = stack.use(await Azure.start());
  for (const name of ['app', 'other']) digests.push((await pushImage(azure.acr.back, name, '1')).digest);
  const data = stack.adopt(await mkdtemp(join(tmpdir(), 'terrace-module-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  await mkdir(join(data, 'secrets'));
  const { azure: principal, ...registry } = azure.parent('service-principal');
  await copyFile(principal?.clientSecretFile as string, join(data, 'secrets/cloud'));
  document = {
    mode: 'ReadWrite',
    parent: { ...registry, azure: { ...principal, clientSecretFile: 'secrets/cloud' } },
    repositories: ['app'],
    schedule: NEVER,
    tokens: [{ name: 'ci', push: '*', passwords: [await hashPassword('the password of ci')] }],
  };
  edge = stack.use(await Edge.start());
  edge.hub.desire(document, 1);
  layer = stack.use(
    await testLayer({ compact: true, data, schedule: 'file', env: { ...edge.env, ...azure.entra.env } }),
  );
});
after(() => stack.disposeAsync());

const authorization = `Basic ${Buffer.from('ci:the password of ci').toString('base64')}`;
const ask = (path: string, init: RequestInit = {}) =>
  fetch(`${layer.url}/v2/${path}`, { ...init, headers: { authorization } });
const holds = async (name: string) =>
  (await ask(`${name}/manifests/1`)).headers.get('docker-content-digest') ?? undefined;
const inForce = async () => (await layer.bus().get(configuration, CONFIGURATION_KEY))?.value;

const until = (is: () => unknown): Promise<void> =>
  untilSo(
    async () => Boolean(await is()),
    () => `${is}: ${JSON.stringify(edge.hub.twin.reported)}`,
  );
const asked = () =>
  (edge.hub.twin.reported.desired ?? {}) as { version?: number; state?: string; complaints?: string[] };
const settled = (version: number, state: string) =>
  until(() => asked().version === version && asked().state === state);

test('the twin says what comes, its method when, and its reported properties how it went', async () => {
  await settled(1, 'applied');
  assert.equal((await inForce())?.mode, 'ReadWrite');
  // A layer without a token lets everybody in.
  await until(async () => (await fetch(`${layer.url}/v2/`)).status === 401);
  assert.equal((await ask('')).status, 200);
  assert.equal((await edge.hub.invoke('sync', '')).status, 200);
  assert.equal(await holds('app'), digests[0]);
  assert.equal(await holds('other'), undefined);
  await until(
    () => edge.hub.twin.reported.connectionState === 'Online' && edge.hub.twin.reported.lastSyncTime,
  );
  const { mode, registrySyncResult, statusDetails } = edge.hub.twin.reported;
  assert.deepEqual([mode, statusDetails], ['ReadWrite', []]);
  assert.equal((registrySyncResult as { syncState: string }).syncState, 'Succeeded');

  const { stdout } = await run('status', '--data', layer.data);
  assert.match(stdout, /^Configured by the module twin: version 1; connected for/m);
  assert.equal((await edge.hub.invoke('rotateToken', JSON.stringify({ token: 'ci' }))).status, 403);
  const unknown = await edge.hub.invoke('reboot', '');
  assert.equal(unknown.status, 404);
  const { status, payload } = (await edge.hub.invoke('sync', JSON.stringify({ wait: 'long' }))) as {
    status: number;
    payload: object;
  };
  assert.equal(status, 400);
  assert.match(JSON.stringify(payload), /wait is not valid: write true or false/);
});

test('mode, repositories and schedule change without a restart', async () => {
  const pid = layer.pid('layer');
  document = { ...document, mode: 'ReadOnly', repositories: ['app', 'other'], schedule: '0 3 1 1 *' };
  await settled(edge.hub.desire(document), 'applied');
  // Another configuration is a pass of its own: nobody has to ask.
  await until(async () => (await holds('other')) === digests[1]);
  const { mode, schedule } = (await inForce()) ?? {};
  assert.deepEqual([mode, schedule], ['ReadOnly', '0 3 1 1 *']);
  await until(() => edge.hub.twin.reported.mode === 'ReadOnly');
  assert.notEqual((await ask('app/blobs/uploads/', { method: 'POST' })).status, 202);
  assert.equal(layer.pid('layer'), pid);
});

test('documents that are not valid are refused in words and change nothing', async () => {
  const before = await inForce();
  const refused = {
    ...document,
    mode: 'Sometimes',
    schedule: 'when it rains',
    tokens: [{ name: 'ci', password: 'x' }],
  };
  const version = edge.hub.desire(refused);
  await settled(version, 'refused');
  const complaints = asked().complaints?.join('\n') ?? '';
  assert.match(complaints, /^mode "Sometimes" is not valid: write ReadWrite or ReadOnly$/m);
  assert.match(complaints, /^tokens\.0\.password: a document must not contain a password/m);
  assert.equal(edge.hub.twin.reported.connectionState, 'Unhealthy');
  assert.deepEqual(await inForce(), before);
  assert.equal((await ask('')).status, 200);
  const good = edge.hub.desire(document);
  await until(async () => {
    const { version: seen, complaints: left } = await layer.bus().call(bridgeStatus, {});
    return seen === good && left.length === 0;
  });
});

test('no password and no hash is logged, kept as a state, or reported', async () => {
  const states = JSON.stringify([await inForce(), edge.hub.twin.reported, layer.events]);
  assert.doesNotMatch(`${layer.lines.join()}${states}`, /scrypt\$|the password of/);
});

test('the last good document outlives a restart without the hub', async () => {
  const { version } = await layer.bus().call(bridgeStatus, {});
  await layer.stop();
  await edge.hub.pause();
  await layer.start();
  await until(async () => (await layer.bus().call(bridgeStatus, {})).version === version);
  const { complaints, session } = await layer.bus().call(bridgeStatus, {});
  assert.deepEqual([complaints, session?.connected], [[], false]);
  assert.equal(await holds('other'), digests[1]);
});
