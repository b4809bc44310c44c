import { equal, match } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { HistoryRoom } from '../../../services/storage/history/history-room.ts';
import { serve } from '../../../services/storage/serve.ts';
import { Storage } from '../../../services/storage/storage.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { until } from '../../support/until.ts';
import { gatewayProcess } from '../gateway-process.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { RawConnection } from '../http.ts';
import { kill } from '../rig-storage.ts';
import { check } from '../rows.ts';

const layer = await GatewayRig.start({ patienceMs: 100 }, { apart: true });
after(() => layer[Symbol.asyncDispose]());

const bytes = randomBytes(2_000_000);
const digest = sha256(bytes);

const patch = (path: string) =>
  `PATCH ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes.byteLength}\r\n\r\n`;
const range = async (location: string) => (await layer.fetch('GET', location)).headers.get('range');

test('without storage, requests for content are answered 503 with Retry-After; with it, they succeed again', async () => {
  await layer.blob('a', bytes);
  await layer.storageDown();
  const unavailable = { status: 503, code: 'UNAVAILABLE', expectedHeaders: { 'retry-after': '1' } };
  await check(layer, { send: ['GET', '/healthz'], ...unavailable });
  await check(layer, { send: ['GET', `/v2/a/blobs/${digest}`], ...unavailable });
  await check(layer, { send: ['POST', '/v2/a/blobs/uploads/'], ...unavailable });
  await check(layer, { send: ['GET', '/v2/a/manifests/x'], ...unavailable });
  await check(layer, { send: ['GET', '/v2/'], status: 200 });
  await layer.storageUp();
  await check(layer, { send: ['GET', '/healthz'], status: 200 });
  await check(layer, { send: ['GET', `/v2/a/blobs/${digest}`], status: 200, text: bytes });
});

test('a restart of storage during a PATCH loses nothing of the upload', async () => {
  const location = await layer.upload('b');
  const connection = await RawConnection.open(layer.port);
  connection.send(patch(location));
  connection.send(bytes.subarray(0, 1_000_000));
  await until(async () => (await range(location)) === '0-999999');
  await layer.storageDown();
  await layer.storageUp();
  connection.send(bytes.subarray(1_000_000));
  await until(() => connection.text.includes('\r\n\r\n'));
  match(connection.text, /^HTTP\/1\.1 202 /);
  connection.socket.destroy();
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
  await check(layer, { send: ['GET', `/v2/b/blobs/${digest}`], status: 200, text: bytes });
});

test('a restart of the bus during a PATCH loses nothing of the upload', async () => {
  const location = await layer.upload('c');
  const connection = await RawConnection.open(layer.port);
  connection.send(patch(location));
  connection.send(bytes.subarray(0, 1_000_000));
  await until(async () => (await range(location)) === '0-999999');
  await layer.testBus.kill();
  await layer.testBus.up();
  // Gateway and storage connect again each by itself.
  await until(async () => (await range(location).catch(() => '')) === '0-999999');
  connection.send(bytes.subarray(1_000_000));
  await until(() => connection.text.includes('\r\n\r\n'));
  match(connection.text, /^HTTP\/1\.1 202 /);
  connection.socket.destroy();
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
});

test('a gateway that ends releases its claims: another one continues the upload at once', async () => {
  const { child, port } = await gatewayProcess(layer, { TERRACE_MODE: 'ReadWrite' });
  const location = await layer.upload('d');
  const connection = await RawConnection.open(port);
  connection.send(patch(location));
  connection.send(bytes.subarray(0, 500_000));
  await until(async () => (await range(location)) === '0-499999');
  child.kill('SIGTERM');
  await once(child, 'exit');
  equal(child.exitCode, 0);
  await check(layer, { send: ['PATCH', location], body: bytes.subarray(500_000), status: 202 });
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
});

test('the mode is that of the configuration, and a change takes effect without a restart', async () => {
  const { child, port } = await gatewayProcess(layer, { TERRACE_MODE: 'ReadOnly' });
  const bridge = await layer.testBus.connect('twin-bridge');
  const post = async () =>
    (await fetch(`http://127.0.0.1:${port}/v2/e/blobs/uploads/`, { method: 'POST' })).status;
  equal(await post(), 403);
  for (const [mode, status] of [
    ['ReadWrite', 202],
    ['ReadOnly', 403],
    ['ReadWrite', 202],
  ] as const) {
    await bridge.put(configuration, CONFIGURATION_KEY, configurationWith({ mode }));
    await until(async () => (await post()) === status);
  }
  child.kill('SIGTERM');
  await once(child, 'exit');
});

test('a gateway that cannot listen on its address exits with a message that names the remedy', async () => {
  await using server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const refusals: [listen: string, message: RegExp][] = [
    [
      `127.0.0.1:${port}`,
      /cannot listen on 127\.0\.0\.1:\d+: the address is in use; stop the other process, or choose another/,
    ],
    ['nowhere', /cannot listen on nowhere: write host:port, as in 127\.0\.0\.1:5000/],
  ];
  await Promise.all(
    refusals.map(async ([listen, message]) => {
      const child = layer.spawn('gateway', { TERRACE_LISTEN: listen, TERRACE_MODE: 'ReadOnly' });
      const [log] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
      equal(child.exitCode, 1);
      match(log, message);
    }),
  );
});

// The last test: from here on storage runs in this process, so that its clock can be moved.
test('after a gateway was killed during a PATCH, another one continues the upload', async () => {
  const { child, port } = await gatewayProcess(layer, { TERRACE_MODE: 'ReadWrite' });
  await layer.storageDown();
  let offsetMs = 0;
  const bus = await layer.testBus.connect('storage');
  await using storage = await Storage.open({
    data: layer.data,
    publish: bus.publish.bind(bus),
    log: quiet,
    running: () => performance.now() + offsetMs,
  });
  await using _served = serve(bus, storage, new HistoryRoom({ bus, log: quiet }));
  await until(async () => (await layer.fetch('GET', '/healthz')).status === 200);
  const location = await layer.upload('f');
  const connection = await RawConnection.open(port);
  connection.send(patch(location));
  connection.send(bytes.subarray(0, 1_500_000));
  await until(async () => (await range(location)) === '0-1499999');
  await kill(child);
  equal(await range(location), '0-1499999');
  const rest = { send: ['PATCH', location] as [string, string], body: bytes.subarray(1_500_000) };
  await check(layer, {
    ...rest,
    status: 429,
    code: 'TOOMANYREQUESTS',
    expectedHeaders: { 'retry-after': '1' },
  });
  offsetMs = 60_000;
  await check(layer, { ...rest, status: 202, expectedHeaders: { range: '0-1999999' } });
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
  await check(layer, { send: ['GET', `/v2/f/blobs/${digest}`], status: 200, text: bytes });
});
