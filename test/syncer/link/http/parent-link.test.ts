import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createPort } from 'node:net';
import { type TestContext, test } from 'node:test';
import {
  type Answer,
  guarded,
  readAll,
  readErrorBody,
} from '../../../../services/syncer/link/answers/bodies.ts';
import { UNLIMITED } from '../../../../services/syncer/link/bandwidth/bandwidth.ts';
import { type LinkOptions, ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { bodyOf, SendWatch } from '../../../../services/syncer/link/http/sending.ts';
import { Authority } from '../../../support/certificates.ts';
import { ConnectProxy } from '../../../support/proxy/connect-proxy.ts';
import { until } from '../../../support/until.ts';

const { signal } = new AbortController();
const MIB = 1024 * 1024;

type Listenable = { listen(port: number, host: string): unknown; close(): void; on: unknown };

/** A test server and a link to it. */
async function serving(
  server: Listenable & { address(): unknown; closeAllConnections?(): void },
  options: Partial<LinkOptions> = {},
  protocol = 'http',
) {
  const sockets = new Set<Socket>();
  (server as unknown as NodeJS.EventEmitter).on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server as unknown as NodeJS.EventEmitter, 'listening');
  const url = `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const link = new ParentLink({ url, ...options });
  return {
    url,
    link,
    sockets,
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** An error of the listener after the client aborted its request is ignored. */
const plain = (
  listener: (...parameters: Parameters<RequestListener>) => unknown,
  options?: Partial<LinkOptions>,
) =>
  serving(
    createServer(async (request, response) => {
      try {
        await listener(request, response);
      } catch (error) {
        if (!request.destroyed) throw error;
      }
    }),
    options,
  );

const upload = { scope: 'repository:a:pull,push', method: 'PATCH' as const, signal };

test('a body is sent again after a challenge, with a token', async () => {
  const seen: [string | undefined, string][] = [];
  await using server = await plain(
    async (request, response) => {
      if (request.url?.startsWith('/token')) {
        const scopes = new URL(request.url, 'http://x').searchParams.getAll('scope');
        seen.push(['token', scopes.join(' ')]);
        return response.end('{"token":"good"}');
      }
      let body = '';
      for await (const part of request) body += part;
      seen.push([request.headers.authorization, body]);
      if (request.headers.authorization) return response.writeHead(202).end();
      const challenge = 'Bearer realm="/token",scope="repository:a:pull,push"';
      return response.writeHead(401, { 'www-authenticate': challenge }).end();
    },
    { login: { username: 'layer', password: 'secret' } },
  );
  const scope = 'repository:a:pull,push repository:b:pull';
  const answer = await server.link.request('/v2/x', {
    ...upload,
    scope,
    body: bodyOf(Buffer.from('content')),
  });
  assert.equal(answer.statusCode, 202);
  assert.deepEqual(seen, [
    [undefined, 'content'],
    ['token', 'repository:a:pull,push repository:b:pull'],
    ['Bearer good', 'content'],
  ]);
});

test('a slow upload may take longer than the stall time, and a stopped one fails after it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let slow = true;
  let durationMs = 0;
  const stopped = Promise.withResolvers<void>();
  await using server = await plain(
    async (request, response) => {
      let received = 0;
      for await (const part of request) {
        received += part.length;
        if (!slow && received > MIB) return stopped.resolve();
        // 64 KiB take 2 ms: the socket's buffers take less than the stall time, the complete body more.
        const ms = part.length / (32 * 1024);
        durationMs += ms;
        t.mock.timers.tick(ms);
      }
      response.writeHead(202).end(String(received));
    },
    { stallMs: 500 },
  );
  const bytes = Buffer.alloc(24 * MIB);
  const answer = await server.link.request('/v2/x', { ...upload, body: bodyOf(bytes) });
  assert.equal(await readErrorBody(answer), String(bytes.length));
  assert.ok(durationMs > 500, 'the upload did not take longer than the stall time');

  slow = false;
  const stuck = server.link.request('/v2/x', { ...upload, body: bodyOf(bytes) });
  const ended = assert.rejects(stuck, {
    code: 'parent-unreachable',
    message: /accepted no bytes for 0\.5 s/,
  });
  await stopped.promise;
  const done = ended.then(() => true);
  // The socket accepts bytes until its buffers are full.
  while (!(await Promise.race([done, new Promise((resolve) => setImmediate(resolve, false))]))) {
    t.mock.timers.tick(50);
  }
  await ended;
});

/** An answer whose body arrives in parts, each after `ms` on the clock of this test. */
function answering(t: TestContext, stallMs: number, parts: Buffer[], ms: number) {
  const clock = { now: 0 };
  t.mock.method(performance, 'now', () => clock.now);
  const body = async function* () {
    for (const part of parts) {
      clock.now += ms;
      yield part;
    }
  };
  return { clock, answer: { body: body(), stallMs } as unknown as Answer };
}

test('a body below the min rate counts as stalled, and one that is merely slow does not', async (t) => {
  const parts = (size: number) => Array.from({ length: 8 }, () => Buffer.alloc(size));
  const slow = answering(t, 400, parts(1_500), 100);
  assert.equal((await readAll(slow.answer, MIB, 'slow')).length, 8 * 1_500);
  t.mock.reset();
  const drips = answering(t, 400, parts(1), 100);
  await assert.rejects(readAll(drips.answer, MIB, 'drips'), {
    code: 'parent-unreachable',
    message: /sent 5 B in/,
  });
});

test('a body with a slow reader does not count as stalled', async (t) => {
  const { clock, answer } = answering(t, 100, [Buffer.from('a'), Buffer.from('b')], 10);
  let received = 0;
  for await (const part of guarded(answer)) {
    received += part.length;
    clock.now += 200;
  }
  assert.equal(received, 2);
});

test('the wait for bandwidth does not count as a stall of a token request', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const waits = [0, 500];
  await using server = await plain(
    ({ url, headers }, response) => {
      if (url?.startsWith('/token')) response.end('{"token":"good"}');
      else if (headers.authorization) response.end('[]');
      else response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
    },
    {
      stallMs: 200,
      bandwidth: { take: async () => t.mock.timers.tick(waits.shift() ?? 0), maxPieceBytes: undefined },
    },
  );
  assert.equal((await server.link.request('/x', { scope: '', signal })).statusCode, 200);
  assert.deepEqual(waits, []);
});

test('a connection with a small share of a slow link does not count as stalled', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const watch = new SendWatch(150);
  const body = watch.body(bodyOf(Buffer.alloc(64 * 1024)), UNLIMITED, signal);
  let accepted = 0;
  for await (const part of body) {
    // As a socket that accepts 200 bytes per ms.
    t.mock.timers.tick(part.length / 200);
    accepted += part.length;
  }
  watch.end();
  assert.equal(accepted, 64 * 1024);
  assert.ok(!watch.signal.aborted);
});

test('after the last byte, the answer is awaited for the stall time plus `slackMs`', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await using server = await plain(
    async (request, response) => {
      request.resume();
      await once(request, 'end');
      t.mock.timers.tick(600);
      if (!response.destroyed) response.writeHead(202).end();
    },
    { stallMs: 200 },
  );
  const body = bodyOf(Buffer.alloc(1_000));
  await assert.rejects(server.link.request('/v2/x', { ...upload, body }), {
    code: 'parent-unreachable',
    message: /did not answer for 0\.2 s/,
  });
  const answer = await server.link.request('/v2/x', { ...upload, body: { ...body, slackMs: 5_000 } });
  assert.equal(answer.statusCode, 202);
});

test('the time for reading from disk and the wait for bandwidth do not count as a stall', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await using server = await plain(
    (request, response) => request.resume().on('end', () => response.writeHead(202).end()),
    {
      stallMs: 200,
      bandwidth: {
        take: async (bytes) => void (bytes > 10_000 && t.mock.timers.tick(400)),
        maxPieceBytes: undefined,
      },
    },
  );
  const bytes = async function* () {
    for (let nth = 0; nth < 2; nth += 1) {
      t.mock.timers.tick(400);
      yield Buffer.alloc(20_000);
    }
  };
  const answer = await server.link.request('/v2/x', { ...upload, body: { size: 40_000, bytes } });
  assert.equal(answer.statusCode, 202);
});

test('a reset or unanswered connection and an unknown name are the fault parent-unreachable', async () => {
  const reset = createPort((socket) => socket.once('data', () => socket.resetAndDestroy()));
  const silent = createPort((socket) => socket.resume());
  for (const port of [reset, silent]) {
    await using server = await serving(port, { stallMs: 300 });
    const body = bodyOf(Buffer.alloc(MIB));
    await assert.rejects(server.link.request('/v2/x', { ...upload, body }), { code: 'parent-unreachable' });
    await assert.rejects(server.link.request('/v2/', { scope: '', signal }), { code: 'parent-unreachable' });
  }
  await using nowhere = new ParentLink({ url: 'http://registry.invalid' });
  await assert.rejects(nowhere.request('/v2/', { scope: '', signal }), { code: 'parent-unreachable' });
});

test('an answer that arrives before the body is complete is returned', async () => {
  await using server = await plain((_, response) => response.writeHead(413).end('too large'));
  const answer = await server.link.request('/v2/x', { ...upload, body: bodyOf(Buffer.alloc(32 * MIB)) });
  assert.equal(answer.statusCode, 413);
});

test('an aborted request rejects with the reason of its signal', async () => {
  await using server = await plain((request) => request.resume());
  const end = new AbortController();
  const bytes = function* () {
    yield Buffer.alloc(1_000);
    end.abort(new Error('aborted by the test'));
    yield Buffer.alloc(1_000);
  };
  const body = { size: 2_000, bytes };
  await assert.rejects(
    server.link.request('/v2/x', { ...upload, signal: end.signal, body }),
    /^Error: aborted by the test$/,
  );
});

test('`closeIdle` closes idle connections, and the next request opens a new one', async () => {
  const requested = Promise.withResolvers<() => void>();
  await using server = await plain((request, response) => {
    if (request.url === '/slow') requested.resolve(() => response.end('late'));
    else response.end('ok');
  });
  const request = async (path: string) =>
    readErrorBody(await server.link.request(path, { scope: '', signal }));
  assert.equal(await request('/v2/'), 'ok');
  const slow = request('/slow');
  const answer = await requested.promise;
  assert.ok(server.sockets.size >= 1);
  server.link.closeIdle();
  answer();
  assert.equal(await slow, 'late');
  await until(() => server.sockets.size === 0, 'every connection is closed');
  assert.equal(await request('/v2/'), 'ok');
});

test('a parent, its token service and its blob host may have certificates of a private CA', async () => {
  await using authority = await Authority.create();
  const { certificateFile, keyFile } = await authority.issue('parent');
  const tls = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
  const ca = await readFile(authority.certificate, 'utf8');
  await using blobs = await serving(
    createTlsServer(tls, (_, response) => response.end('content')),
    {},
    'https',
  );
  await using tokens = await serving(
    createTlsServer(tls, (_, response) => response.end('{"token":"good"}')),
    {},
    'https',
  );
  const listener: RequestListener = ({ headers }, response) => {
    if (headers.authorization) response.writeHead(307, { location: `${blobs.url}/blob` }).end();
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="${tokens.url}/token"` }).end();
  };
  await using parent = await serving(createTlsServer(tls, listener), { ca }, 'https');
  const ask = { scope: 'repository:a:pull', signal, redirects: 'follow' as const };
  const content = async (link: ParentLink) =>
    (await link.read(await link.request('/v2/x', ask), 100, 'it')).toString('utf8');
  assert.equal(await content(parent.link), 'content');

  await using untrusting = new ParentLink({ url: parent.url });
  await assert.rejects(untrusting.request('/v2/x', { scope: '', signal }), {
    code: 'parent-unreachable',
    message: /certificate is not trusted.*parent\.caFile/,
  });

  await using proxy = await ConnectProxy.start();
  process.env.HTTPS_PROXY = proxy.url;
  try {
    await using through = new ParentLink({ url: parent.url, ca });
    assert.equal(await content(through), 'content');
    assert.deepEqual(
      [...new Set(proxy.targets)].sort(),
      [parent, tokens, blobs].map(({ url }) => new URL(url).host).sort(),
    );
    await using proxied = new ParentLink({ url: parent.url });
    await assert.rejects(proxied.request('/v2/x', { scope: '', signal }), { code: 'parent-unreachable' });
    process.env.NO_PROXY = 'a.example,127.0.0.0/8';
    await using direct = new ParentLink({ url: parent.url, ca });
    const before = proxy.targets.length;
    await content(direct);
    assert.equal(proxy.targets.length, before);
  } finally {
    delete process.env.HTTPS_PROXY;
    delete process.env.NO_PROXY;
  }
});
