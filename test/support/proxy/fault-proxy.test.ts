import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { after, before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { freePort } from '../ports.ts';
import { FaultProxy, first, type ProxyOptions } from './fault-proxy.ts';
import { type RecordedRequest, repeatedBytes } from './requests.ts';

const content = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
const path = '/v2/a/blobs/sha256:x';
let target = '';
const hosts: string[] = [];
const registry = createServer((incoming, response) => {
  hosts.push(incoming.headers.host ?? '');
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(incoming.headers.range ?? '') ?? [];
  const range = from && to ? { start: Number(from), end: Number(to) + 1 } : { start: 0, end: content.length };
  const part = content.subarray(range.start, range.end);
  if (from) response.setHeader('Content-Range', `bytes ${from}-${to}/${content.length}`);
  response.writeHead(from ? 206 : 200, { 'Content-Length': part.length }).end(part);
});
before(async () => {
  const port = await freePort();
  await new Promise<void>((resolve) => registry.listen(port, '127.0.0.1', resolve));
  target = `http://127.0.0.1:${port}`;
});
after(() => registry.close());

const through = (options?: ProxyOptions) => FaultProxy.start(target, options);

/** A client that reports how the connection ended, which fetch hides. */
function get(url: string, headers: Record<string, string> = {}, signal?: AbortSignal) {
  return new Promise<{
    status: number;
    headers: NodeJS.Dict<string | string[]>;
    body: Buffer;
    error?: string;
  }>((resolve, reject) => {
    const outgoing = request(url, { headers, agent: false, ...(signal && { signal }) }, (response) => {
      const parts: Buffer[] = [];
      const end = (error?: string) =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts),
          ...(error && { error }),
        });
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => end());
      response.on('error', (error: NodeJS.ErrnoException) => end(error.code));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

test('a request without a fault is forwarded and recorded', async () => {
  await using proxy = await through();
  const full = await get(proxy.url + path);
  assert.ok(full.body.equals(content));
  const part = await get(proxy.url + path, { range: 'bytes=100-299' });
  assert.equal(part.status, 206);
  assert.ok(part.body.equals(content.subarray(100, 300)));
  assert.equal(hosts.at(-1), proxy.host);
  assert.deepEqual(
    proxy.requests.map(({ status, start, bytes, range, index }) => ({ status, start, bytes, range, index })),
    [
      { status: 200, start: 0, bytes: content.length, range: undefined, index: 0 },
      { status: 206, start: 100, bytes: 200, range: 'bytes=100-299', index: 1 },
    ],
  );
  assert.equal(proxy.bytesOf(/blobs/), content.length + 200);
});

test('an answer is cut, truncated or stalled after the exact number of bytes', async () => {
  await using proxy = await through();
  proxy.fault(first(1, /blobs/, { cutAfter: 100_000 }));
  const cut = await get(proxy.url + path);
  assert.deepEqual([cut.error, cut.body.length], ['ECONNRESET', 100_000]);
  assert.equal(cut.headers['content-length'], String(content.length));
  assert.equal(proxy.bytesOf(/blobs/), 100_000);

  proxy.fault(first(1, /blobs/, { truncateAfter: 70_000 }));
  const short = await get(proxy.url + path);
  assert.deepEqual([short.error, short.body.length], [undefined, 70_000]);

  proxy.clearRequests();
  proxy.fault(first(1, /blobs/, { stallAfter: 5_000 }));
  const disconnect = new AbortController();
  const stalled = get(proxy.url + path, {}, disconnect.signal);
  await proxy.until(() => proxy.bytesOf(/blobs/) === 5_000);
  assert.equal(proxy.requests[0]?.ended, false);
  disconnect.abort();
  await stalled.catch(() => {});
  await proxy.until(() => proxy.requests[0]?.ended === true);
});

test('faults ignore ranges, corrupt bytes, forge Content-Range, replace answers and drop connections', async () => {
  await using proxy = await through();
  const range = { range: 'bytes=1000-1999' };
  proxy.fault(() => ({ ignoreRange: true }));
  assert.equal((await get(proxy.url + path, range)).status, 200);
  proxy.fault(() => ({ corruptAt: 1_010 }));
  const wrong = await get(proxy.url + path, range);
  assert.deepEqual(
    [...wrong.body].flatMap((byte, index) => (byte === content[1_000 + index] ? [] : [index])),
    [10],
  );
  proxy.fault(() => ({ contentRange: 'bytes 0-999/300000' }));
  assert.equal((await get(proxy.url + path, range)).headers['content-range'], 'bytes 0-999/300000');
  proxy.fault(() => ({ answer: { status: 429, headers: { 'Retry-After': '1' } } }));
  const busy = await get(proxy.url + path);
  assert.deepEqual([busy.status, busy.headers['retry-after']], [429, '1']);
  proxy.fault(() => ({ drop: true }));
  await assert.rejects(get(proxy.url + path), { code: 'ECONNRESET' });
});

test('a redirect leads to another host, by a URL that expires', async () => {
  await using proxy = await through();
  proxy.fault(() => ({ redirect: true }));
  const { status, headers } = await get(proxy.url + path, { authorization: 'secret' });
  assert.equal(status, 307);
  const location = String(headers.location);
  assert.equal(new URL(location).host, proxy.blobHost);
  assert.ok((await get(location)).body.equals(content));
  assert.deepEqual(
    proxy.requests.map(({ listener, authorization }) => [listener, authorization]),
    [
      ['registry', 'secret'],
      ['blobs', undefined],
    ],
  );
  proxy.expireUrls();
  assert.equal((await get(location)).status, 403);
});

test('the proxy requires an account, or a token with the scope of the request', async () => {
  const account = { username: 'me', password: 'secret' };
  const basic = { authorization: `Basic ${Buffer.from('me:secret').toString('base64')}` };
  await using basicProxy = await through({ access: { basic: account } });
  assert.equal((await get(basicProxy.url + path)).status, 401);
  assert.equal((await get(basicProxy.url + path, basic)).status, 200);

  await using proxy = await through({ access: { bearer: { account } } });
  const { status, headers } = await get(proxy.url + path);
  assert.equal(status, 401);
  assert.equal(
    headers['www-authenticate'],
    `Bearer realm="${proxy.url}/token",service="proxy",scope="repository:a:pull"`,
  );
  const realm = `${proxy.url}/token?service=proxy&scope=repository:a:pull,push`;
  assert.equal((await get(realm)).status, 401);
  const { token } = JSON.parse((await get(realm, basic)).body.toString());
  const bearer = { authorization: `Bearer ${token}` };
  assert.equal((await get(proxy.url + path, bearer)).status, 200);
  assert.equal((await get(`${proxy.url}/v2/b/blobs/x`, bearer)).status, 401);
  proxy.expireTokens();
  assert.equal((await get(proxy.url + path, bearer)).status, 401);
  assert.equal(proxy.tokens, 1);
});

test('the proxy stops, restarts on the same port and limits the rate', async () => {
  await using proxy = await through();
  const { url } = proxy;
  await proxy.down();
  await assert.rejects(get(url + path), { code: 'ECONNREFUSED' });
  await proxy.up();
  assert.equal(proxy.url, url);
  proxy.bandwidth = { total: 2_000_000 };
  const start = performance.now();
  await Promise.all([get(url + path), get(url + path)]);
  const ms = performance.now() - start;
  assert.ok(ms > 240, `600,000 bytes at 2,000,000 a second took ${ms} ms`);
});

test('bytes that were sent repeatedly are counted', () => {
  const seen = (start: number, bytes: number, at = path) =>
    ({ method: 'GET', path: at, status: 206, start, bytes }) as RecordedRequest;
  assert.equal(repeatedBytes([seen(0, 100), seen(100, 100)], /./), 0);
  assert.equal(repeatedBytes([seen(50, 100), seen(0, 100)], /./), 50);
  assert.equal(repeatedBytes([seen(0, 100), seen(10, 20), seen(10, 100), seen(0, 5, '/other')], /./), 110);
});

test('the count of open connections includes those in the accept queue', async () => {
  await using proxy = await through();
  const sent = new Int32Array(new SharedArrayBuffer(4));
  const client = new Worker(
    `const { workerData: { port, sent } } = require('node:worker_threads');
    const socket = require('node:net').connect(port, '127.0.0.1', () => {
      socket.write('GET ${path} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n', () => {
        socket.destroy();
        Atomics.store(sent, 0, 1);
        Atomics.notify(sent, 0);
      });
    });`,
    { eval: true, workerData: { port: Number(new URL(proxy.url).port), sent } },
  );
  // This process is blocked until the client has sent and closed.
  assert.notEqual(Atomics.wait(sent, 0, 0, 30_000), 'timed-out');
  while ((await proxy.connections()) > 0);
  assert.equal(proxy.requests.length, 1);
  await client.terminate();
});
