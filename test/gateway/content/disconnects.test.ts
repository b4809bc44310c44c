import { equal, match } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { renewClaim } from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { patience, until } from '../../support/until.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { RawConnection } from '../http.ts';
import { check } from '../rows.ts';

const layer = await GatewayRig.start({ renewMs: 25, lingerMs: 50 });
after(() => layer[Symbol.asyncDispose]());

let renewals = 0;
const call = layer.bus.call.bind(layer.bus);
layer.bus.call = (contract, query, options) => {
  if ((contract as unknown) === renewClaim) renewals += 1;
  return call(contract, query, options);
};

const bytes = randomBytes(700_000);
const digest = sha256(bytes);
const settled = () => until(() => layer.gateway.pending.size === 0);
const offset = async (location: string) =>
  Number((await layer.fetch('GET', location)).headers.get('range')?.split('-')[1] ?? -1) + 1;

async function begin(
  method: string,
  path: string,
  part: Uint8Array,
  { port } = layer,
): Promise<RawConnection> {
  const connection = await RawConnection.open(port);
  connection.send(
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes.byteLength}\r\n\r\n`,
  );
  connection.send(part);
  return connection;
}

for (const [how, disconnect] of [
  ['reset', (connection: RawConnection) => connection.socket.resetAndDestroy()],
  ['closed', (connection: RawConnection) => connection.socket.end()],
] as const) {
  test(`a PATCH whose connection is ${how} stores the received bytes, and the upload continues`, async () => {
    const location = await layer.upload(how);
    const connection = await begin('PATCH', location, bytes.subarray(0, 300_000));
    await until(async () => (await offset(location)) === 300_000);
    disconnect(connection);
    await settled();
    await check(layer, { send: ['GET', location], status: 204, expectedHeaders: { range: '0-299999' } });
    const rest = { headers: { 'content-range': '300000-699999' }, body: bytes.subarray(300_000) };
    await check(layer, {
      send: ['PATCH', location],
      ...rest,
      status: 202,
      expectedHeaders: { range: '0-699999' },
    });
    await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
    await check(layer, { send: ['GET', `/v2/${how}/blobs/${digest}`], status: 200, text: bytes });
  });

  test(`a PUT whose connection is ${how} commits nothing, and can be repeated`, async () => {
    const part = bytes.subarray(0, 300_000);
    const location = await layer.upload(`put-${how}`);
    // Even if the received part has the digest of the request.
    const connection = await begin('PUT', `${location}?digest=${sha256(part)}`, part);
    await until(async () => (await offset(location)) === 300_000);
    disconnect(connection);
    await settled();
    await check(layer, { send: ['HEAD', `/v2/put-${how}/blobs/${sha256(part)}`], status: 404 });
    const body = bytes.subarray(300_000);
    await check(layer, { send: ['PUT', `${location}?digest=${digest}`], body, status: 201 });
  });

  test(`a monolithic POST whose connection is ${how} leaves no ingest`, async () => {
    const before = (await layer.bus.call(storageStatus, {})).ingests.length;
    const connection = await begin(
      'POST',
      `/v2/post/blobs/uploads/?digest=${digest}`,
      bytes.subarray(0, 300_000),
    );
    await until(async () => (await layer.bus.call(storageStatus, {})).ingests.length > before);
    disconnect(connection);
    await settled();
    equal((await layer.bus.call(storageStatus, {})).ingests.length, before);
  });

  test(`a PUT of a manifest whose connection is ${how} leaves no ingest`, async () => {
    const before = (await layer.bus.call(storageStatus, {})).ingests.length;
    const connection = await begin('PUT', '/v2/post/manifests/x', bytes.subarray(0, 1_000));
    await until(async () => (await layer.bus.call(storageStatus, {})).ingests.length > before);
    disconnect(connection);
    await settled();
    equal((await layer.bus.call(storageStatus, {})).ingests.length, before);
  });
}

test('the claim of a slow client is renewed', async () => {
  const location = await layer.upload('slow');
  const connection = await begin('PATCH', location, bytes.subarray(0, 1));
  for (let sent = 1; sent < 6; sent += 1) {
    const seen = renewals;
    await until(() => renewals > seen);
    connection.send(bytes.subarray(sent, sent + 1));
  }
  connection.send(bytes.subarray(6));
  await until(() => connection.text.includes('\r\n\r\n'));
  match(connection.text, /^HTTP\/1\.1 202 /);
  connection.socket.destroy();
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
});

test('an idle client is answered 400 and disconnected, and its upload is released', async () => {
  await using rig = await GatewayRig.start({ idleMs: patience(200), lingerMs: 50 });
  const location = await rig.upload('idle');
  const connection = await begin('PATCH', location, bytes.subarray(0, 1_000), rig);
  match(await connection.closed, /^HTTP\/1\.1 400 [\s\S]*BLOB_UPLOAD_INVALID/);
  await check(rig, {
    send: ['PATCH', location],
    body: bytes.subarray(1_000),
    status: 202,
    expectedHeaders: { range: '0-699999' },
  });
});

test('a PATCH of an upload that is deleted meanwhile is answered 503 and disconnected', async () => {
  const hashes = layer.gateway.hashes.size;
  const location = await layer.upload('deleted');
  const connection = await begin('PATCH', location, bytes.subarray(0, 1_000));
  await until(async () => (await offset(location)) === 1_000);
  await check(layer, { send: ['DELETE', location], status: 204 });
  match(await connection.closed, /^HTTP\/1\.1 503 [\s\S]*UNAVAILABLE/);
  equal(layer.gateway.hashes.size, hashes);
});

test('a refused body is answered at once, and its connection is closed if it does not end', async () => {
  const connection = await begin('PATCH', '/v2/a/blobs/uploads/upload-none', bytes.subarray(0, 1_000));
  match(await connection.closed, /^HTTP\/1\.1 404 [\s\S]*BLOB_UPLOAD_UNKNOWN/);
});

test('a refused body may be sent to its end, and its connection stays usable', async () => {
  const connection = await begin('PATCH', '/v2/a/blobs/uploads/upload-none', bytes);
  connection.send('GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  match(await connection.closed, /^HTTP\/1\.1 404 [\s\S]*HTTP\/1\.1 200 /);
});
