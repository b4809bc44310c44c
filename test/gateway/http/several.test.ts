import { equal } from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as ask, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { freePort } from '../../support/ports.ts';
import { kill, sha256, TestLayer, until } from '../layer.ts';

/* Several gateway processes on one port. Every request here has a connection of its own, so any of them may get it. */
const layer = await TestLayer.start();
after(() => layer[Symbol.asyncDispose]());
const port = await freePort();

/** A gateway process on the port that all share. */
async function start(): Promise<ChildProcess> {
  const child = layer.spawn('gateway', {
    TERRACE_LISTEN: `127.0.0.1:${port}`,
    TERRACE_GATEWAYS: '3',
    TERRACE_LOG: 'info',
    TERRACE_MODE: 'ReadWrite',
  });
  after(() => kill(child));
  let log = '';
  child.stdout?.on('data', (line) => {
    log += line;
  });
  await until(() => log.includes('listening on'));
  return child;
}

type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer };
async function send(method: string, path: string, body?: Uint8Array): Promise<Answer> {
  const request = ask({ host: '127.0.0.1', port, method, path, agent: false });
  request.end(body);
  const [response] = await once(request, 'response');
  return { status: response.statusCode, headers: response.headers, body: await buffer(response) };
}

/** Each process is asked by some of these: of 60 connections, a process gets none once in ten billion times. */
const everyone = () => Promise.all(Array.from({ length: 60 }, () => send('GET', '/v2/')));

test('an upload whose chunks go to any of them is whole, a killed one takes only its own connections', async () => {
  const children = await Promise.all([start(), start(), start()]);
  const bytes = randomBytes(1_500_000);
  const digest = sha256(bytes);
  const begun = await send('POST', '/v2/app/blobs/uploads/');
  equal(begun.status, 202);
  const location = begun.headers.location!;
  const chunk = 50_000;
  for (let first = 0; first < bytes.byteLength; first += chunk) {
    const { status, headers } = await send('PATCH', location, bytes.subarray(first, first + chunk));
    equal(status, 202);
    equal(headers.range, `0-${first + chunk - 1}`);
  }
  const wrong = sha256('something else');
  const another = (await send('POST', '/v2/app/blobs/uploads/')).headers.location!;
  for (let n = 0; n < 6; n += 1) await send('PATCH', another, bytes.subarray(0, chunk));
  equal((await send('PUT', `${another}?digest=${wrong}`)).status, 400);
  equal((await send('PUT', `${location}?digest=${digest}`)).status, 201);

  for (const child of children.slice(1)) {
    for (const { status } of await everyone()) equal(status, 200);
    await kill(child);
    for (const { status } of await everyone()) equal(status, 200);
    equal(sha256((await send('GET', `/v2/app/blobs/${digest}`)).body), digest);
  }
  // One that comes back takes its share again; one that is asked to end lets the others go on.
  const back = await start();
  children[0]!.kill('SIGTERM');
  await once(children[0]!, 'exit');
  equal(children[0]!.exitCode, 0);
  for (const { status } of await everyone()) equal(status, 200);
  back.kill('SIGTERM');
  await once(back, 'exit');
});
