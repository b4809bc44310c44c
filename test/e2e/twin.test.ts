import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hashPassword } from '#proto/accounts/password-hash.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { bridgeStatus } from '#proto/status/status.ts';
import { Azure } from '../support/azure/azure.ts';
import { runCommandHere } from '../support/command-line.ts';
import { type TestLayer, testLayer } from '../support/layer.ts';
import { pushImage } from '../support/registry/image.ts';
import { until as untilSo } from '../support/until.ts';
import { Edge } from '../twin-bridge/iot-edge/rig.ts';

/** A layer in one process, below an Azure Container Registry and configured only by its module twin. */

const NEVER = '0 0 1 1 *';
const stack = new AsyncDisposableStack();
let azure: Azure;
let edge: Edge;
let layer: TestLayer;
let document: Record<string, unknown>;
const digests: string[] = [];

before(async () => {
  azure = stack.use(await Azure.start());
  for (const name of ['app', 'other'])
    digests.push((await pushImage(azure.acr.backendUrl, name, '1')).digest);
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
const digestOf = async (name: string) =>
  (await ask(`${name}/manifests/1`)).headers.get('docker-content-digest') ?? undefined;
const inForce = async () => (await layer.bus().get(configuration, CONFIGURATION_KEY))?.value;

const until = (is: () => unknown): Promise<void> =>
  untilSo(
    async () => Boolean(await is()),
    () => `${is}: ${JSON.stringify(edge.hub.twin.reported)}`,
  );
const reportedDesired = () =>
  (edge.hub.twin.reported.desired ?? {}) as { version?: number; state?: string; complaints?: string[] };
const becomes = (version: number, state: string) =>
  until(() => reportedDesired().version === version && reportedDesired().state === state);

test('desired properties select content, a method starts the pass, and reported properties give its result', async () => {
  await becomes(1, 'applied');
  assert.equal((await inForce())?.mode, 'ReadWrite');
  // A layer without a token admits everybody.
  await until(async () => (await fetch(`${layer.url}/v2/`)).status === 401);
  assert.equal((await ask('')).status, 200);
  assert.equal((await edge.hub.callMethod('sync', '')).status, 200);
  assert.equal(await digestOf('app'), digests[0]);
  assert.equal(await digestOf('other'), undefined);
  await until(
    () => edge.hub.twin.reported.connectionState === 'Online' && edge.hub.twin.reported.lastSyncTime,
  );
  const { mode, statusDetails } = edge.hub.twin.reported;
  assert.deepEqual([mode, statusDetails], ['ReadWrite', []]);
  // The coordinator may make a pass of its own meanwhile.
  const syncState = () => (edge.hub.twin.reported.registrySyncResult as { syncState?: string })?.syncState;
  await until(() => syncState() === 'Succeeded');

  const { stdout } = await runCommandHere('status', '--data', layer.data);
  assert.match(stdout, /^Configured by the module twin: version 1; connected for/m);
  assert.equal((await edge.hub.callMethod('rotateToken', JSON.stringify({ token: 'ci' }))).status, 403);
  const unknown = await edge.hub.callMethod('reboot', '');
  assert.equal(unknown.status, 404);
  const { status, payload } = (await edge.hub.callMethod('sync', JSON.stringify({ wait: 'long' }))) as {
    status: number;
    payload: object;
  };
  assert.equal(status, 400);
  assert.match(JSON.stringify(payload), /wait is not valid: write true or false/);
});

test('mode, repositories and schedule change without a restart', async () => {
  const pid = layer.pid('layer');
  document = { ...document, mode: 'ReadOnly', repositories: ['app', 'other'], schedule: '0 3 1 1 *' };
  await becomes(edge.hub.desire(document), 'applied');
  // A changed configuration starts a pass without a request.
  await until(async () => (await digestOf('other')) === digests[1]);
  const { mode, schedule } = (await inForce()) ?? {};
  assert.deepEqual([mode, schedule], ['ReadOnly', '0 3 1 1 *']);
  await until(() => edge.hub.twin.reported.mode === 'ReadOnly');
  assert.notEqual((await ask('app/blobs/uploads/', { method: 'POST' })).status, 202);
  assert.equal(layer.pid('layer'), pid);
});

test('a document that is not valid is refused with its complaints and changes nothing', async () => {
  const before = await inForce();
  const invalid = {
    ...document,
    mode: 'Sometimes',
    schedule: 'when it rains',
    tokens: [{ name: 'ci', password: 'x' }],
  };
  const version = edge.hub.desire(invalid);
  await becomes(version, 'refused');
  const complaints = reportedDesired().complaints?.join('\n') ?? '';
  assert.match(complaints, /^mode "Sometimes" is not valid: write ReadWrite or ReadOnly$/m);
  assert.match(complaints, /^tokens\.0\.password: a document must not contain a password/m);
  assert.equal(edge.hub.twin.reported.connectionState, 'Unhealthy');
  assert.deepEqual(await inForce(), before);
  assert.equal((await ask('')).status, 200);
  const valid = edge.hub.desire(document);
  await until(async () => {
    const { version: received, complaints: remaining } = await layer.bus().call(bridgeStatus, {});
    return received === valid && remaining.length === 0;
  });
});

test('no password and no hash is logged, stored in a state, or reported', async () => {
  const states = JSON.stringify([await inForce(), edge.hub.twin.reported, layer.events]);
  assert.doesNotMatch(`${layer.lines.join()}${states}`, /scrypt\$|the password of/);
});

test('the last valid document stays in force after a restart without the hub', async () => {
  const { version } = await layer.bus().call(bridgeStatus, {});
  await layer.stop();
  await edge.hub.pause();
  await layer.start();
  await until(async () => (await layer.bus().call(bridgeStatus, {})).version === version);
  const { complaints, session } = await layer.bus().call(bridgeStatus, {});
  assert.deepEqual([complaints, session?.connected], [[], false]);
  assert.equal(await digestOf('other'), digests[1]);
});
