import { equal } from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { freePort } from '../../support/ports.ts';
import { until } from '../../support/until.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { kill } from '../rig-storage.ts';

/* Several gateway processes on one port. Each request has a connection of its own, so any process may receive it. */
const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
const port = await freePort();

/** Starts a gateway process on the shared port. */
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
  const request = httpRequest({ host: '127.0.0.1', port, method, path, agent: false });
  request.end(body);
  const [response] = await once(request, 'response');
  return { status: response.statusCode, headers: response.headers, body: await buffer(response) };
}

/** Each process receives some of these: it gets none of 60 connections once in ten billion times. */
const requestAll = () => Promise.all(Array.from({ length: 60 }, () => send('GET', '/v2/')));

test('an upload through several processes is complete; a killed process closes only its own connections', async () => {
  const children = await Promise.all([start(), start(), start()]);
  const bytes = randomBytes(1_500_000);
  const digest = sha256(bytes);
  const started = await send('POST', '/v2/app/blobs/uploads/');
  equal(started.status, 202);
  const location = started.headers.location!;
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
    for (const { status } of await requestAll()) equal(status, 200);
    await kill(child);
    for (const { status } of await requestAll()) equal(status, 200);
    equal(sha256((await send('GET', `/v2/app/blobs/${digest}`)).body), digest);
  }
  // A restarted process takes its share again; one that ends on SIGTERM leaves the others running.
  const restarted = await start();
  children[0]!.kill('SIGTERM');
  await once(children[0]!, 'exit');
  equal(children[0]!.exitCode, 0);
  for (const { status } of await requestAll()) equal(status, 200);
  restarted.kill('SIGTERM');
  await once(restarted, 'exit');
});
