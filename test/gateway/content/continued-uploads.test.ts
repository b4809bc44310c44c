import { deepEqual, equal, match } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, test } from 'node:test';
import type { Static, TSchema } from '@sinclair/typebox';
import type { CallOptions } from '#proto/bus/calls.ts';
import { abortUpload, renewClaim } from '#proto/content/ingests.ts';
import type { Request } from '#proto/contract/contract.ts';
import { until } from '../../support/until.ts';
import { gatewayProcess } from '../gateway-process.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { RawConnection } from '../http.ts';
import { kill } from '../rig-storage.ts';
import { check } from '../rows.ts';

/** Uploads between their requests: what storage is asked, and who continues them. */

// However slow the machine is, an idle claim is resumed.
const layer = await GatewayRig.start({ patienceMs: 100, idleClaimMs: 600_000 }, { apart: true });
after(() => layer[Symbol.asyncDispose]());
const another = await gatewayProcess(layer, { TERRACE_MODE: 'ReadWrite' });

/** Subjects of the requests about content that this gateway sends. */
const calls: string[] = [];
const call = layer.bus.call.bind(layer.bus);
layer.bus.call = <Q extends TSchema, R extends TSchema>(
  contract: Request<Q, R>,
  query: Static<Q>,
  options?: CallOptions,
) => {
  // A renewal depends on the time that a request takes.
  const isContent = /^storage\.(upload|claim|blob)\./.test(contract.subject);
  if (isContent && contract !== (renewClaim as unknown)) calls.push(contract.subject);
  return call(contract, query, options);
};
afterEach(() => calls.splice(0));

const bytes = randomBytes(300_000);
const digest = sha256(bytes);
const [start, claim, commit] = ['storage.upload.start', 'storage.upload.claim', 'storage.blob.commit'];
const idOf = (location: string) => location.split('/').at(-1) ?? '';

/** To the other gateway process. */
const sendTo = async (port: number, method: string, path: string, body?: Uint8Array) => {
  const init = { method, ...(body && { body }) } as RequestInit;
  const { status, headers } = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return { status, range: headers.get('range') };
};

for (const [name, parts] of [
  ['POST, PATCH and PUT', [300_000]],
  ['POST and PUT', []],
  ['POST, three PATCHes and PUT', [1, 100_000, 300_000]],
  ['POST, PATCH and PUT with the rest', [100_000]],
] as const) {
  test(`${name} ask storage for the start and for the commit only`, async () => {
    const location = await layer.upload('few');
    let from = 0;
    for (const end of parts) {
      const body = bytes.subarray(from, end);
      const range = `0-${end - 1}`;
      await check(layer, { send: ['PATCH', location], body, status: 202, expectedHeaders: { range } });
      from = end;
    }
    const rest = from < bytes.byteLength && { body: bytes.subarray(from) };
    await check(layer, { send: ['PUT', `${location}?digest=${digest}`], ...rest, status: 201 });
    deepEqual(calls, [start, commit]);
    await check(layer, { send: ['GET', `/v2/few/blobs/${digest}`], status: 200, text: bytes });
    equal(layer.gateway.idleClaims.size, 0);
  });
}

test('an upload goes to and fro between two gateways, and none of them waits for the other', async () => {
  const location = await layer.upload('two');
  for (let from = 0; from < 240_000; from += 80_000) {
    const [first, second] = [
      bytes.subarray(from, from + 40_000),
      bytes.subarray(from + 40_000, from + 80_000),
    ];
    equal((await sendTo(another.port, 'PATCH', location, first)).range, `0-${from + 39_999}`);
    const range = `0-${from + 79_999}`;
    await check(layer, { send: ['PATCH', location], body: second, status: 202, expectedHeaders: { range } });
  }
  const done = `${location}?digest=${digest}`;
  equal((await sendTo(another.port, 'PUT', done, bytes.subarray(240_000))).status, 201);
  deepEqual(calls, [start, claim, claim, claim]);
  await check(layer, { send: ['GET', `/v2/two/blobs/${digest}`], status: 200, text: bytes });
  await check(layer, { send: ['PATCH', location], body: 'x', status: 404, code: 'BLOB_UPLOAD_UNKNOWN' });
});

test('after kill -9 of a gateway between PATCH and PUT, another one commits at once', async () => {
  const { child, port } = await gatewayProcess(layer, { TERRACE_MODE: 'ReadWrite' });
  const location = await layer.upload('killed');
  equal((await sendTo(port, 'PATCH', location, bytes)).status, 202);
  await kill(child);
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
  deepEqual(calls, [start, claim, commit]);
  await check(layer, { send: ['GET', `/v2/killed/blobs/${digest}`], status: 200, text: bytes });
});

test('after a restart of storage between PATCH and PUT, the upload is committed under its claim', async () => {
  const location = await layer.upload('restarted');
  await check(layer, { send: ['PATCH', location], body: bytes.subarray(0, 100_000), status: 202 });
  await layer.storageDown();
  // Nothing is asked of storage.
  await check(layer, { send: ['PATCH', location], body: bytes.subarray(100_000), status: 202 });
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 503 });
  await layer.storageUp();
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
  await check(layer, { send: ['GET', `/v2/restarted/blobs/${digest}`], status: 200, text: bytes });
});

for (const [where, cancel] of [
  ['this gateway', (location: string) => layer.fetch('DELETE', location)],
  ['another gateway', (location: string) => sendTo(another.port, 'DELETE', location)],
] as const) {
  test(`an upload that is deleted through ${where} is unknown`, async () => {
    const location = await layer.upload('deleted');
    await check(layer, { send: ['PATCH', location], body: 'x', status: 202 });
    equal((await cancel(location)).status, 204);
    const unknown = { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' };
    await check(layer, { send: ['PATCH', location], body: 'x', ...unknown });
    await check(layer, { send: ['PUT', `${location}?digest=${sha256('x')}`], ...unknown });
    await check(layer, { send: ['GET', location], ...unknown });
  });
}

test('while a request writes an upload, every other one is answered 429, in any gateway', async () => {
  const location = await layer.upload('busy');
  const connection = await RawConnection.open(layer.port);
  connection.send(`PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n`);
  connection.send(bytes.subarray(0, 1_000));
  await until(async () => (await layer.fetch('GET', location)).headers.get('range') === '0-999');
  const busy = { status: 429, code: 'TOOMANYREQUESTS', expectedHeaders: { 'retry-after': '1' } };
  await check(layer, { send: ['PATCH', location], body: 'x', ...busy });
  equal((await sendTo(another.port, 'PATCH', location, bytes.subarray(0, 1))).status, 429);
  connection.send(bytes.subarray(1_000));
  await until(() => connection.text.includes('\r\n\r\n'));
  match(connection.text, /^HTTP\/1\.1 202 /);
  connection.socket.destroy();
  await check(layer, { send: ['PUT', `${location}?digest=${digest}`], status: 201 });
});

test('bytes are not acknowledged if the claim was lost while they were written', async () => {
  const location = await layer.upload('lost');
  const connection = await RawConnection.open(layer.port);
  connection.send(`PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n`);
  connection.send(bytes.subarray(0, 1_000));
  await until(async () => (await layer.fetch('GET', location)).headers.get('range') === '0-999');
  await call(abortUpload, { repository: 'lost', id: idOf(location) });
  connection.send(bytes.subarray(1_000, 2_000));
  await until(() => connection.text.includes('\r\n\r\n'));
  match(connection.text, /^HTTP\/1\.1 503 /);
  connection.socket.destroy();
  equal(layer.gateway.idleClaims.take('lost', idOf(location)), undefined);
});
