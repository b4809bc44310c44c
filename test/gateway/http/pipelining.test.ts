import { deepEqual, equal } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { until } from '../../support/until.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { RawConnection } from '../http.ts';
import { openContent } from '../open-files.ts';

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
const path = `/v2/a/blobs/${await layer.blob('a', randomBytes(8_000_000))}`;
const get = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

const warnings: Error[] = [];
process.on('warning', (warning) => warnings.push(warning));

for (const [how, disconnect] of [
  ['resets', (connection: RawConnection) => connection.socket.resetAndDestroy()],
  ['closes', (connection: RawConnection) => connection.socket.destroy()],
] as const) {
  test(`a client that ${how} its connection before the answers to its later requests leaves no file open`, async () => {
    const connection = await RawConnection.open(layer.port);
    connection.send(get.repeat(20));
    await once(connection.socket, 'data');
    connection.socket.pause();
    await until(async () => (await openContent(layer.data)) > 1);
    disconnect(connection);
    await until(async () => (await openContent(layer.data)) === 0);
    equal((await layer.fetch('GET', '/v2/')).status, 200);
    deepEqual(warnings, []);
  });
}

test('a client that sends CONNECT before it has its answers leaves no file open', async () => {
  const connection = await RawConnection.open(layer.port);
  connection.send(`${get.repeat(3)}CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await connection.closed;
  await until(async () => (await openContent(layer.data)) === 0);
});

test('the answers to pipelined requests are complete and in order', async () => {
  const connection = await RawConnection.open(layer.port);
  const close = 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  connection.send(get.repeat(12) + close);
  const { length } = await connection.closed;
  const one = await layer.fetch('GET', path);
  equal(Math.floor(length / (await one.bytes()).byteLength), 12);
  await until(async () => (await openContent(layer.data)) === 0);
  deepEqual(warnings, []);
});
