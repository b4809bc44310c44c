import { equal, match } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { renewClaim } from '#proto/content/ingests.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { patience } from '../../support/until.ts';
import { RawConnection } from '../http.ts';
import { sha256, TestLayer, until } from '../layer.ts';
import { check } from '../rows.ts';

const layer = await TestLayer.start({ renewMs: 25, idleMs: patience(200), lingerMs: 50 });
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
const offset = async (at: string) =>
  Number((await layer.fetch('GET', at)).headers.get('range')?.split('-')[1] ?? -1) + 1;

async function begin(method: string, path: string, part: Uint8Array): Promise<RawConnection> {
  const connection = await RawConnection.open(layer.port);
  connection.send(
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes.byteLength}\r\n\r\n`,
  );
  connection.send(part);
  return connection;
}

for (const [how, leave] of [
  ['reset', (connection: RawConnection) => connection.socket.resetAndDestroy()],
  ['closed', (connection: RawConnection) => connection.socket.end()],
] as const) {
  test(`a PATCH whose connection is ${how} keeps what came, and the upload goes on`, async () => {
    const at = await layer.upload(how);
    const connection = await begin('PATCH', at, bytes.subarray(0, 300_000));
    await until(async () => (await offset(at)) === 300_000);
    leave(connection);
    await settled();
    await check(layer, { send: ['GET', at], status: 204, want: { range: '0-299999' } });
    const rest = { headers: { 'content-range': '300000-699999' }, body: bytes.subarray(300_000) };
    await check(layer, { send: ['PATCH', at], ...rest, status: 202, want: { range: '0-699999' } });
    await check(layer, { send: ['PUT', `${at}?digest=${digest}`], status: 201 });
    await check(layer, { send: ['GET', `/v2/${how}/blobs/${digest}`], status: 200, text: bytes });
  });

  test(`a PUT whose connection is ${how} stores nothing, and can be repeated`, async () => {
    const part = bytes.subarray(0, 300_000);
    const at = await layer.upload(`put-${how}`);
    // Even where the part that came has this very digest.
    const connection = await begin('PUT', `${at}?digest=${sha256(part)}`, part);
    await until(async () => (await offset(at)) === 300_000);
    leave(connection);
    await settled();
    await check(layer, { send: ['HEAD', `/v2/put-${how}/blobs/${sha256(part)}`], status: 404 });
    const body = bytes.subarray(300_000);
    await check(layer, { send: ['PUT', `${at}?digest=${digest}`], body, status: 201 });
  });

  test(`a POST with the whole blob whose connection is ${how} leaves nothing`, async () => {
    const before = (await layer.bus.call(storageStatus, {})).ingests.length;
    const connection = await begin(
      'POST',
      `/v2/post/blobs/uploads/?digest=${digest}`,
      bytes.subarray(0, 300_000),
    );
    await until(async () => (await layer.bus.call(storageStatus, {})).ingests.length > before);
    leave(connection);
    await settled();
    equal((await layer.bus.call(storageStatus, {})).ingests.length, before);
  });

  test(`a manifest whose connection is ${how} leaves nothing`, async () => {
    const before = (await layer.bus.call(storageStatus, {})).ingests.length;
    const connection = await begin('PUT', '/v2/post/manifests/x', bytes.subarray(0, 1_000));
    await until(async () => (await layer.bus.call(storageStatus, {})).ingests.length > before);
    leave(connection);
    await settled();
    equal((await layer.bus.call(storageStatus, {})).ingests.length, before);
  });
}

test('a slow client keeps its claim', async () => {
  const at = await layer.upload('slow');
  const connection = await begin('PATCH', at, bytes.subarray(0, 1));
  for (let sent = 1; sent < 6; sent += 1) {
    const seen = renewals;
    await until(() => renewals > seen);
    connection.send(bytes.subarray(sent, sent + 1));
  }
  connection.send(bytes.subarray(6));
  await until(() => connection.text.includes('\r\n\r\n'));
  match(connection.text, /^HTTP\/1\.1 202 /);
  connection.socket.destroy();
  await check(layer, { send: ['PUT', `${at}?digest=${digest}`], status: 201 });
});

test('a client that sends nothing more is answered 400 and cut off, and its upload is free', async () => {
  const at = await layer.upload('idle');
  const connection = await begin('PATCH', at, bytes.subarray(0, 1_000));
  match(await connection.closed, /^HTTP\/1\.1 400 [\s\S]*BLOB_UPLOAD_INVALID/);
  await check(layer, {
    send: ['PATCH', at],
    body: bytes.subarray(1_000),
    status: 202,
    want: { range: '0-699999' },
  });
});

test('an upload that is given up while it is being written ends its writer', async () => {
  const known = layer.gateway.hashes.size;
  const at = await layer.upload('gone');
  const connection = await begin('PATCH', at, bytes.subarray(0, 1_000));
  await until(async () => (await offset(at)) === 1_000);
  await check(layer, { send: ['DELETE', at], status: 204 });
  match(await connection.closed, /^HTTP\/1\.1 503 [\s\S]*UNAVAILABLE/);
  equal(layer.gateway.hashes.size, known);
});

test('a body that nobody wants is answered at once, and cut off when it does not end', async () => {
  const connection = await begin('PATCH', '/v2/a/blobs/uploads/upload-none', bytes.subarray(0, 1_000));
  match(await connection.closed, /^HTTP\/1\.1 404 [\s\S]*BLOB_UPLOAD_UNKNOWN/);
});

test('a body that nobody wants may end, and the connection goes on', async () => {
  const connection = await begin('PATCH', '/v2/a/blobs/uploads/upload-none', bytes);
  connection.send('GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  match(await connection.closed, /^HTTP\/1\.1 404 [\s\S]*HTTP\/1\.1 200 /);
});
