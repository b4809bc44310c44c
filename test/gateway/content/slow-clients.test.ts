import { equal, match, ok } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { patienceSignal, until } from '../../support/until.ts';
import { gatewayProcess } from '../gateway-process.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { RawConnection } from '../http.ts';

/** Number of idle clients, and of slow ones of each kind. They share one gateway process with an ordinary client. */
const [IDLE, SLOW] = [1_000, 50];

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
const small = await layer.blob('a', 'small');
const bytes = randomBytes(24_000_000);
const big = await layer.blob('a', bytes);
const gateway = await gatewayProcess(layer, { TERRACE_MODE: 'ReadWrite' });

const kinds = { idle: [], headers: [], bodies: [], readers: [] } as Record<string, RawConnection[]>;
after(() =>
  Object.values(kinds)
    .flat()
    .forEach(({ socket }) => void socket.destroy()),
);
const uploads: string[] = [];
let closed = 0;

async function open(kind: string, text: string | Uint8Array): Promise<RawConnection> {
  const connection = await RawConnection.open(gateway.port);
  connection.socket.once('close', () => {
    closed += 1;
  });
  if (text.length > 0) connection.send(text);
  kinds[kind]!.push(connection);
  return connection;
}

const request = (path: string, init: object = {}) =>
  fetch(`http://127.0.0.1:${gateway.port}${path}`, { signal: patienceSignal(), ...init });
const resident = async () =>
  Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${gateway.child.pid}/status`, 'utf8'))?.[1]) / 1024;

/** Requests of an ordinary client. */
async function pullAndPush(name: string): Promise<void> {
  for (let n = 0; n < 20; n += 1) {
    equal(await (await request(`/v2/a/blobs/${small}`)).text(), 'small');
    const text = `${name} ${n}`;
    const path = `/v2/b/blobs/uploads/?digest=${sha256(text)}`;
    equal((await request(path, { method: 'POST', body: text })).status, 201);
  }
}

before(() => pullAndPush('first'));

test('idle clients, and clients that send or read slowly, do not block others', async (t) => {
  const memory = await resident();
  for (let n = 0; n < IDLE; n += 1) await open('idle', '');
  for (let n = 0; n < SLOW; n += 1) {
    await open('headers', 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
    const location = (await request('/v2/c/blobs/uploads/', { method: 'POST' })).headers.get('location')!;
    uploads.push(location);
    await open('bodies', `PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n`);
    const reader = await open('readers', `GET /v2/a/blobs/${big} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await once(reader.socket, 'data');
    reader.socket.pause();
  }
  // They send a byte at a time while the ordinary client is served.
  const drip = setInterval(() => {
    for (const { socket } of [...kinds.headers!, ...kinds.bodies!]) socket.write('x');
  }, 100);
  await pullAndPush('crowded').finally(() => clearInterval(drip));
  equal(closed, 0, 'a slow client was disconnected before the others were served');
  const grown = (await resident()) - memory;
  t.diagnostic(`slow clients take ${grown.toFixed()} MiB`);
  ok(grown < 160, `${grown} MiB more are resident`);
});

test('slow clients get their answers', async () => {
  const [body] = kinds.bodies!;
  const sent = body!.socket.bytesWritten;
  const header = `PATCH ${uploads[0]} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n`.length;
  body!.send('x'.repeat(100 - (sent - header)));
  await until(() => body!.text.includes('\r\n\r\n'));
  match(body!.text, /^HTTP\/1\.1 202 [\s\S]*range: 0-99/i);
  const [headers] = kinds.headers!;
  headers!.send('\r\n\r\n');
  await until(() => headers!.text.includes('\r\n\r\n'));
  match(headers!.text, /^HTTP\/1\.1 200 /);
  const [idle] = kinds.idle!;
  idle!.send('GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  match(await idle!.closed, /^HTTP\/1\.1 200 /);
  const [reader] = kinds.readers!;
  reader!.socket.resume();
  const length = () => reader!.text.length - reader!.text.indexOf('\r\n\r\n') - 4;
  await until(() => length() === bytes.byteLength);
  equal(sha256(Buffer.from(reader!.text.slice(-bytes.byteLength), 'latin1')), big);
});

test('a client that does not complete its headers is answered 408 and disconnected', {
  skip: !process.env.TERRACE_FULL,
}, async () => {
  const [, ...rest] = kinds.headers!;
  for (const answer of await Promise.all(rest.map(({ closed }) => closed))) match(answer, /^HTTP\/1\.1 408 /);
});
