import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { type LinkAgent, makeAgent } from '../../../../services/syncer/link/http/agent.ts';
import { Authority } from '../../../support/certificates.ts';
import { until } from '../../../support/until.ts';

/** A server that counts its connections, and may hold its answers back. */
class CountingServer implements AsyncDisposable {
  readonly sockets: Socket[] = [];
  /** Requests that are not answered yet. */
  readonly waiting: (() => void)[] = [];
  holds = false;
  url = '';
  readonly #server = createServer((request, response) => {
    const answer = () => void response.end(request.method === 'HEAD' ? undefined : 'content');
    if (this.holds) this.waiting.push(answer);
    else answer();
  });

  static async start(): Promise<CountingServer> {
    const server = new CountingServer();
    server.#server.on('connection', (socket: Socket) => server.sockets.push(socket));
    await once(server.#server.listen(0, '127.0.0.1'), 'listening');
    server.url = `http://127.0.0.1:${(server.#server.address() as AddressInfo).port}`;
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

function agentFor(): LinkAgent & AsyncDisposable {
  const agent = makeAgent(20_000, undefined);
  return Object.assign(agent, { [Symbol.asyncDispose]: () => agent.destroy() });
}

async function ask(agent: LinkAgent, origin: string, method: 'GET' | 'HEAD' = 'GET'): Promise<string> {
  const answer = await agent.request({ origin, path: '/', method });
  return answer.body.text();
}

test('requests one after the other share one connection, also after a HEAD', async () => {
  await using server = await CountingServer.start();
  await using agent = agentFor();
  for (const method of ['GET', 'HEAD', 'GET', 'HEAD', 'HEAD', 'GET'] as const) {
    assert.equal(await ask(agent, server.url, method), method === 'GET' ? 'content' : '');
  }
  assert.equal(server.sockets.length, 1);
});

test('connections that were opened before are used by requests at a time', async () => {
  await using server = await CountingServer.start();
  await using agent = agentFor();
  agent.prepare(new URL(server.url), 3);
  await until(() => server.sockets.length === 3, 'the connections are open');
  server.holds = true;
  const answers = [1, 2, 3, 4].map(() => ask(agent, server.url));
  await until(() => server.waiting.length === 4, 'all requests have arrived');
  assert.equal(server.sockets.length, 4);
  for (const answer of server.waiting) answer();
  assert.deepEqual(await Promise.all(answers), Array(4).fill('content'));
});

test('connections that exist already count, and no request is sent on the others', async () => {
  await using server = await CountingServer.start();
  await using agent = agentFor();
  await ask(agent, server.url);
  server.holds = true;
  agent.prepare(new URL(server.url), 3);
  agent.prepare(new URL(server.url), 3);
  await until(() => server.sockets.length === 3, 'the connections are open');
  agent.prepare(new URL(server.url), 2);
  const answer = ask(agent, server.url);
  await until(() => server.waiting.length === 1, 'the request has arrived');
  assert.equal(server.sockets.length, 3);
  for (const end of server.waiting) end();
  await answer;
});

test('a connection that the server ended is not used', async () => {
  await using server = await CountingServer.start();
  await using agent = agentFor();
  agent.prepare(new URL(server.url), 2);
  await until(() => server.sockets.length === 2, 'the connections are open');
  const closed = server.sockets.map((socket) => once(socket, 'close'));
  for (const socket of server.sockets) socket.end('unasked');
  await Promise.all(closed);
  assert.equal(await ask(agent, server.url), 'content');
  assert.equal(server.sockets.length, 3);
});

test('the round trip is measured', async () => {
  await using server = await CountingServer.start();
  await using agent = agentFor();
  assert.equal(agent.roundTripMs, undefined);
  await ask(agent, server.url);
  assert.ok((agent.roundTripMs ?? -1) >= 0);
});

test('a server that offers HTTP/2 gets requests at a time on several connections', async () => {
  await using authority = await Authority.create();
  const files = await authority.issue('parent');
  const tls = { cert: await readFile(files.certificateFile), key: await readFile(files.keyFile) };
  const held: ServerResponse[] = [];
  const versions: string[] = [];
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    versions.push(request.httpVersion);
    held.push(response);
    if (held.length === 2) for (const each of held) each.end('content');
  };
  const server = createSecureServer({ ...tls, allowHTTP1: true }, onRequest as never);
  let connections = 0;
  server.on('secureConnection', () => {
    connections += 1;
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const agent = makeAgent(20_000, await readFile(authority.certificate, 'utf8'));
  try {
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await Promise.all([ask(agent, origin), ask(agent, origin)]);
    assert.deepEqual(versions, ['1.1', '1.1']);
    assert.equal(connections, 2);
  } finally {
    await agent.destroy();
    server.close();
  }
});
