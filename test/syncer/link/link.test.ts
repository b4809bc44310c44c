import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createPort } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth.ts';
import { guarded, text, whole } from '../../../services/syncer/link/bodies.ts';
import { Link, type LinkOptions } from '../../../services/syncer/link/link.ts';
import { SendWatch, sent } from '../../../services/syncer/link/sending.ts';
import { Authority } from '../../support/certificates.ts';
import { ConnectProxy } from '../../support/connect-proxy.ts';
import { until } from '../../support/patience.ts';

const { signal } = new AbortController();
const MIB = 1024 * 1024;

type Listening = { listen(port: number, host: string): unknown; close(): void; on: unknown };

/** A server of a few lines, and a link to it. */
async function serving(
  server: Listening & { address(): unknown; closeAllConnections?(): void },
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
  const link = new Link({ url, ...options });
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

const plain = (listener: RequestListener, options?: Partial<LinkOptions>) =>
  serving(createServer(listener), options);

const upload = { scope: 'repository:a:pull,push', method: 'PATCH' as const, signal };

test('a body is sent again after a challenge, and by then with a token', async () => {
  const seen: [string | undefined, string][] = [];
  await using server = await plain(
    async (request, response) => {
      if (request.url?.startsWith('/token')) {
        const asked = new URL(request.url, 'http://x').searchParams.getAll('scope');
        seen.push(['token', asked.join(' ')]);
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
  const answer = await server.link.request('/v2/x', { ...upload, scope, body: sent(Buffer.from('content')) });
  assert.equal(answer.statusCode, 202);
  assert.deepEqual(seen, [
    [undefined, 'content'],
    ['token', 'repository:a:pull,push repository:b:pull'],
    ['Bearer good', 'content'],
  ]);
});

test('an upload that goes on slowly takes longer than a stall, one that stops does not', async () => {
  let slow = true;
  await using server = await plain(
    async (request, response) => {
      let taken = 0;
      for await (const part of request) {
        taken += part.length;
        if (slow) await sleep(4);
        else if (taken > MIB) return;
      }
      response.writeHead(202).end(String(taken));
    },
    { stallMs: 500 },
  );
  const bytes = Buffer.alloc(24 * MIB);
  const began = Date.now();
  const answer = await server.link.request('/v2/x', { ...upload, body: sent(bytes) });
  assert.equal(await text(answer), String(bytes.length));
  assert.ok(Date.now() - began > 1_000, 'this was too fast to show anything');

  slow = false;
  const stuck = server.link.request('/v2/x', { ...upload, body: sent(bytes) });
  await assert.rejects(stuck, { code: 'parent-unreachable', message: /took nothing for 0\.5 s/ });
});

test('a body that only drips has stalled, one that is slow has not', async () => {
  await using server = await plain(
    async ({ url }, response) => {
      const bytes = Buffer.alloc(url === '/drips' ? 1 : 1_500);
      for (let nth = 0; nth < 8 && !response.destroyed; nth += 1) {
        response.write(bytes);
        await sleep(100);
      }
      response.end();
    },
    { stallMs: 400 },
  );
  const ask = async (path: string) => {
    const answer = await server.link.request(path, { scope: '', signal });
    return (await whole(answer, MIB, path)).length;
  };
  assert.equal(await ask('/slow'), 8 * 1_500);
  await assert.rejects(ask('/drips'), { code: 'parent-unreachable', message: /sent \d bytes in/ });
});

test('a body that a slow reader keeps back has not stalled', async () => {
  await using server = await plain((_, response) => response.write('a') && response.end('b'), {
    stallMs: 100,
  });
  const answer = await server.link.request('/x', { scope: '', signal });
  let came = 0;
  for await (const part of guarded(answer)) {
    came += part.length;
    await sleep(200);
  }
  assert.equal(came, 2);
});

test('a token is waited for as long as the bandwidth makes everybody wait', async () => {
  const waits = [0, 500];
  await using server = await plain(
    ({ url, headers }, response) => {
      if (url?.startsWith('/token')) response.end('{"token":"good"}');
      else if (headers.authorization) response.end('[]');
      else response.writeHead(401, { 'www-authenticate': 'Bearer realm="/token"' }).end();
    },
    {
      stallMs: 200,
      bandwidth: { take: () => sleep(waits.shift() ?? 0), piece: undefined },
    },
  );
  assert.equal((await server.link.request('/x', { scope: '', signal })).statusCode, 200);
});

test('a connection that has a small share of a slow link has not stalled', async () => {
  const watch = new SendWatch(150);
  const body = watch.body(sent(Buffer.alloc(64 * 1024)), UNLIMITED, signal);
  let taken = 0;
  for await (const part of body) {
    // As a socket that takes 200 bytes in a ms.
    await sleep(part.length / 200);
    taken += part.length;
  }
  watch.end();
  assert.equal(taken, 64 * 1024);
  assert.ok(!watch.signal.aborted);
});

test('an answer that does not come after the last byte is waited for as long as was agreed', async () => {
  await using server = await plain(
    async (request, response) => {
      request.resume();
      await once(request, 'end');
      await sleep(600);
      if (!response.destroyed) response.writeHead(202).end();
    },
    { stallMs: 200 },
  );
  const body = sent(Buffer.alloc(1_000));
  await assert.rejects(server.link.request('/v2/x', { ...upload, body }), {
    code: 'parent-unreachable',
    message: /did not answer for 0\.2 s/,
  });
  const answer = await server.link.request('/v2/x', { ...upload, body: { ...body, slackMs: 5_000 } });
  assert.equal(answer.statusCode, 202);
});

test('a time in which nothing is read from disk, or bandwidth is waited for, is no stall', async () => {
  await using server = await plain(
    (request, response) => request.resume().on('end', () => response.writeHead(202).end()),
    {
      stallMs: 200,
      bandwidth: { take: async (bytes) => void (bytes > 10_000 && (await sleep(400))), piece: undefined },
    },
  );
  const bytes = async function* () {
    await sleep(400);
    yield Buffer.alloc(20_000);
  };
  const answer = await server.link.request('/v2/x', { ...upload, body: { size: 20_000, bytes } });
  assert.equal(answer.statusCode, 202);
});

test('connections that are reset or never answer, and names that nobody knows, are an unreachable parent', async () => {
  const reset = createPort((socket) => socket.once('data', () => socket.resetAndDestroy()));
  const mute = createPort((socket) => socket.resume());
  for (const port of [reset, mute]) {
    await using server = await serving(port, { stallMs: 300 });
    const body = sent(Buffer.alloc(MIB));
    await assert.rejects(server.link.request('/v2/x', { ...upload, body }), { code: 'parent-unreachable' });
    await assert.rejects(server.link.request('/v2/', { scope: '', signal }), { code: 'parent-unreachable' });
  }
  await using nowhere = new Link({ url: 'http://registry.invalid' });
  await assert.rejects(nowhere.request('/v2/', { scope: '', signal }), { code: 'parent-unreachable' });
});

test('an answer that comes before the whole body is the answer', async () => {
  await using server = await plain((_, response) => response.writeHead(413).end('too large'));
  const answer = await server.link.request('/v2/x', { ...upload, body: sent(Buffer.alloc(32 * MIB)) });
  assert.equal(answer.statusCode, 413);
});

test('a request that is ended says why', async () => {
  await using server = await plain((request) => request.resume());
  const end = new AbortController();
  const bytes = function* () {
    yield Buffer.alloc(1_000);
    end.abort(new Error('ended'));
    yield Buffer.alloc(1_000);
  };
  const body = { size: 2_000, bytes };
  await assert.rejects(
    server.link.request('/v2/x', { ...upload, signal: end.signal, body }),
    /^Error: ended$/,
  );
});

test('connections that are idle close when the link is to rest, and new ones are made later', async () => {
  const asked = Promise.withResolvers<() => void>();
  await using server = await plain((request, response) => {
    if (request.url === '/slow') asked.resolve(() => response.end('late'));
    else response.end('ok');
  });
  const ask = async (path: string) => text(await server.link.request(path, { scope: '', signal }));
  assert.equal(await ask('/v2/'), 'ok');
  const slow = ask('/slow');
  const open = await asked.promise;
  assert.ok(server.sockets.size >= 1);
  server.link.rest();
  open();
  assert.equal(await slow, 'late');
  await until(() => server.sockets.size === 0, 'every connection is closed');
  assert.equal(await ask('/v2/'), 'ok');
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
  assert.equal(
    await text(await parent.link.request('/v2/x', { scope: 'repository:a:pull', signal })),
    'content',
  );

  await using stranger = new Link({ url: parent.url });
  await assert.rejects(stranger.request('/v2/x', { scope: '', signal }), {
    code: 'parent-unreachable',
    message: /not trusted here.*parent\.caFile/,
  });

  await using proxy = await ConnectProxy.start();
  process.env.HTTPS_PROXY = proxy.url;
  try {
    await using through = new Link({ url: parent.url, ca });
    const answer = await through.request('/v2/x', { scope: 'repository:a:pull', signal });
    assert.equal(await text(answer), 'content');
    assert.deepEqual(
      [...new Set(proxy.asked)].sort(),
      [parent, tokens, blobs].map(({ url }) => new URL(url).host).sort(),
    );
    await using untrusting = new Link({ url: parent.url });
    await assert.rejects(untrusting.request('/v2/x', { scope: '', signal }), { code: 'parent-unreachable' });
    process.env.NO_PROXY = '127.0.0.1';
    await using direct = new Link({ url: parent.url, ca });
    const before = proxy.asked.length;
    await text(await direct.request('/v2/x', { scope: 'repository:a:pull', signal }));
    assert.equal(proxy.asked.length, before);
  } finally {
    delete process.env.HTTPS_PROXY;
    delete process.env.NO_PROXY;
  }
});
