import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { transferDelayed, transferFailed } from '#proto/sync/transfers.ts';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { type Action, type FaultProxy, first, startProxy } from '../../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../../support/proxy/requests.ts';
import { type Cloud, startCloud } from '../../support/registry/cloud.ts';
import { pushImage, sameContent } from '../../support/registry/image.ts';
import { patience } from '../../support/until.ts';

/** A parent that misbehaves, between a layer and a real registry. Each test has a repository of its own. */
const account = { username: 'layer', password: 'a secret of the layer' };
const MIB = 1024 * 1024;
const LARGE = 10 * MIB;
const SMALL = 300_000;
let folder: string;
let cloud: Cloud;
let proxy: FaultProxy;
let layer: TestLayer;
let pids: Record<string, number>;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-faults-'));
  await writeFile(join(folder, 'password'), `${account.password}\n`);
  cloud = await startCloud();
  proxy = await startProxy(cloud.url, { access: { bearer: { account } } });
  const parent = { url: proxy.url, username: account.username, passwordFile: join(folder, 'password') };
  const env = { TERRACE_STALL_MS: String(patience(500)) };
  layer = await testLayer({ parent, repositories: ['*'], env, compact: true });
  pids = layer.pids();
});

afterEach(() => assert.deepEqual(layer.pids(), pids, 'a process ended'));

after(async () => {
  await layer?.stop();
  await proxy?.[Symbol.asyncDispose]();
  await cloud?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** An image in a repository of its own; its second layer takes several chunks, or one. */
async function image(repository: string, size = LARGE): Promise<{ digest: string; blobs: RegExp }> {
  proxy.fault();
  proxy.forget();
  const { layers } = await pushImage(cloud.url, repository, 'v1', { layers: [1_000, size] });
  return { digest: layers[1]!.digest, blobs: new RegExp(`^/v2/${repository}/blobs/${layers[1]!.digest}$`) };
}

async function arrives(repository: string): Promise<void> {
  const { failures } = await layer.sync();
  assert.deepEqual(failures, []);
  assert.equal(await sameContent(cloud.url, layer.url, [repository]), undefined);
}

/** Faults after which the same pass goes on and ends well, and what the blob may cost beyond its size. */
const passing: [string, Action, number][] = [
  ['a connection that breaks in the middle of a chunk', { cutAfter: 3 * MIB }, 0.5 * MIB],
  ['a connection that stalls without closing', { stallAfter: 2 * MIB }, 0.5 * MIB],
  ['an answer that ends too early in good order', { truncateAfter: 1 * MIB }, 0.5 * MIB],
  ['429 with Retry-After', { answer: { status: 429, headers: { 'retry-after': '1' } } }, 0],
  ['500', { answer: { status: 500, body: 'oops' } }, 0],
  [
    "200 with a portal's page",
    { answer: { status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Welcome</h1>' } },
    0,
  ],
];
if (process.env.TERRACE_FULL === '1') {
  passing.push(
    ["502 with a proxy's page", { answer: { status: 502, body: '<html>Bad Gateway</html>' } }, 0],
    ['a connection closed without an answer', { drop: true }, 0],
  );
}
for (const [index, [name, action, extra]] of passing.entries()) {
  test(`${name}: the pass ends well`, async () => {
    const repository = `passing/${index}`;
    const { blobs, digest } = await image(repository);
    proxy.fault(first(index === 4 ? 2 : 1, blobs, action));
    await arrives(repository);
    const bytes = proxy.bytesOf(blobs);
    assert.ok(bytes <= 10 * MIB + extra, `${bytes} bytes for ${10 * MIB}`);
    assert.ok(repeatedBytes(proxy.requests, blobs) <= extra);
    assert.ok(
      !layer.events.some(
        ({ type, data }) =>
          type === 'terrace.transfer.failed' && (data as { digest: string }).digest === digest,
      ),
    );
  });
}

test('429 with Retry-After: nothing is asked for before that time', async () => {
  const { blobs, digest } = await image('patient');
  proxy.fault(first(1, blobs, { answer: { status: 429, headers: { 'retry-after': '2' } } }));
  const began = Date.now();
  const pass = layer.sync();
  const { until } = await layer.event(transferDelayed, (data) => data.digest === digest);
  assert.ok(until - began >= 2_000);
  await proxy.until(({ requests }) =>
    requests.some(({ path, status }) => blobs.test(path) && status === 206),
  );
  assert.ok(Date.now() >= until - 50);
  await pass;
});

test('a parent that ignores Range is read in sequence, and what is here is kept', async () => {
  const { blobs } = await image('unranged');
  proxy.fault(({ path }) => (blobs.test(path) ? { ignoreRange: true } : undefined));
  await arrives('unranged');
  assert.ok(proxy.bytesOf(blobs) < 11 * MIB);
});

test('a parent that stops honouring Range after a cut: the blob is right', async () => {
  const { blobs } = await image('unranged-later');
  proxy.fault(({ path, nth }) => {
    if (!blobs.test(path)) return undefined;
    return nth === 0 ? { cutAfter: 1 * MIB } : { ignoreRange: true };
  });
  await arrives('unranged-later');
});

test('a catalog that is refused keeps back only what it alone tells', async () => {
  await image('known', SMALL);
  await arrives('known');
  const { digest } = await pushImage(cloud.url, 'known', 'v2', { layers: [3_000] });
  proxy.fault(({ path }) => (path === '/v2/_catalog' ? { answer: { status: 403 } } : undefined));
  const { failures } = await layer.sync();
  assert.deepEqual(
    failures.map(({ code, repository }) => [code, repository]),
    [['parent-refused', undefined]],
  );
  const served = await fetch(`${layer.url}/v2/known/manifests/v2`);
  assert.equal(served.headers.get('docker-content-digest'), digest);
});

/** Faults that nobody can mend in this pass: a clear event, nothing stored; the next pass heals. */
const final: [string, Action, string, RegExp][] = [
  ['a wrong byte', { corruptAt: 100_000 }, 'parent-invalid', /content that is not sha256:/],
  ['a wrong Content-Range', { contentRange: 'bytes 5-9/10' }, 'parent-invalid', /bytes 5-9\/10/],
  ['a blob that is refused', { answer: { status: 403, body: 'no' } }, 'parent-refused', /403: no/],
  ['a blob that is not there', { answer: { status: 404 } }, 'blob-unknown', /has no blob/],
  [
    'a redirect to nowhere',
    { answer: { status: 307, headers: { location: 'ftp://x/' } } },
    'parent-invalid',
    /redirects to/,
  ],
];
for (const [index, [name, action, code, reason]] of final.entries()) {
  test(`${name}: a clear event, and the next pass heals it`, async () => {
    const repository = `final/${index}`;
    const { blobs, digest } = await image(repository, SMALL);
    proxy.fault(({ path }) => (blobs.test(path) ? action : undefined));
    const { ok, failures } = await layer.sync();
    assert.equal(ok, false);
    assert.equal(failures.length, 1);
    assert.equal(failures[0]!.code, code);
    assert.equal(failures[0]!.repository, repository);
    assert.match(failures[0]!.reason, reason);
    const failed = await layer.event(transferFailed, (data) => data.digest === digest);
    assert.match(failed.reason, reason);
    const served = await fetch(`${layer.url}/v2/${repository}/manifests/v1`);
    assert.equal(served.status, 404);
    proxy.fault();
    await arrives(repository);
  });
}

test('a manifest that is not what its digest says: a clear failure, nothing stored, the next pass heals it', async () => {
  await image('lie', SMALL);
  proxy.fault(({ path, method }) =>
    method === 'GET' && /^\/v2\/lie\/manifests\/sha256:/.test(path) ? { corruptAt: 20 } : undefined,
  );
  const { failures } = await layer.sync();
  assert.deepEqual(
    failures.map(({ code, repository }) => [code, repository]),
    [['parent-invalid', 'lie']],
  );
  proxy.fault();
  await arrives('lie');
});

const lists = ['/v2/', '/v2/_catalog', '/v2/lists/tags/list', '/v2/lists/manifests/v1'];
test('429, 500 and closed connections while parent and layer are compared: the same pass goes on', async () => {
  await image('lists', SMALL);
  const actions: Action[] = [
    { answer: { status: 429, headers: { 'retry-after': '1' } } },
    { answer: { status: 500 } },
    { drop: true },
    { drop: true },
  ];
  proxy.fault(({ path, nth }) => (nth === 0 ? actions[lists.indexOf(path)] : undefined));
  await arrives('lists');
});

test('an answer that holds no list of tags takes no tag away', async () => {
  await image('listless', SMALL);
  await arrives('listless');
  proxy.fault(({ path }) =>
    path === '/v2/listless/tags/list' ? { answer: { status: 200, body: '{}' } } : undefined,
  );
  const { failures } = await layer.sync();
  assert.deepEqual(
    failures.map(({ code, repository }) => [code, repository]),
    [['parent-invalid', 'listless']],
  );
  proxy.fault();
  await arrives('listless');
});

test('a tag that is listed while its manifest answers 404 does not go', async () => {
  await image('half', SMALL);
  await arrives('half');
  proxy.fault(({ path }) =>
    /^\/v2\/half\/manifests\//.test(path) ? { answer: { status: 404 } } : undefined,
  );
  const { dropped } = await layer.sync();
  assert.equal(dropped, 0);
  assert.equal(await sameContent(cloud.url, layer.url, ['half']), undefined);
});

test('a redirect to another host is followed, and the token does not follow', async () => {
  const { blobs } = await image('elsewhere');
  proxy.fault(({ path, listener }) =>
    listener === 'registry' && blobs.test(path) ? { redirect: true } : undefined,
  );
  await arrives('elsewhere');
  const moved = proxy.requests.filter(({ listener }) => listener === 'blobs');
  assert.ok(moved.length >= 3);
  assert.deepEqual(
    moved.filter(({ authorization }) => authorization !== undefined),
    [],
  );
  const asked = proxy.requests.filter(({ listener, path }) => listener === 'registry' && blobs.test(path));
  assert.ok(asked.every(({ authorization }) => authorization?.startsWith('Bearer ')));
});

test('an address of a redirect that ends in the middle is asked for anew', async () => {
  const { blobs } = await image('expiring');
  proxy.fault(({ path, listener }) =>
    listener === 'registry' && blobs.test(path) ? { redirect: { uses: 1 } } : undefined,
  );
  await arrives('expiring');
});

test('addresses that end before they are used are asked for anew at once, and nothing comes twice', async () => {
  const { blobs, digest } = await image('ended');
  proxy.fault(({ path, listener, nth }) => {
    if (!blobs.test(path)) return undefined;
    if (listener === 'registry') return { redirect: true };
    if (nth === 1) proxy.expireUrls();
    return undefined;
  });
  await arrives('ended');
  assert.ok(proxy.requests.some(({ listener, status }) => listener === 'blobs' && status === 403));
  assert.equal(repeatedBytes(proxy.requests, blobs), 0);
  assert.ok(
    !layer.events.some(
      ({ type, data }) =>
        type === 'terrace.transfer.delayed' && (data as { digest: string }).digest === digest,
    ),
  );
});

test('tokens that end in the middle are asked for anew', async () => {
  const { blobs } = await image('tokens');
  proxy.fault(({ path, nth }) => {
    if (blobs.test(path) && nth === 1) proxy.expireTokens();
    return undefined;
  });
  await arrives('tokens');
});

test('one tag that fails keeps no other back', async () => {
  const { blobs } = await image('mixed/bad', SMALL);
  await pushImage(cloud.url, 'mixed/good', 'v1', { layers: [5_000] });
  proxy.fault(({ path }) => (blobs.test(path) ? { answer: { status: 403 } } : undefined));
  const { ok } = await layer.sync();
  assert.equal(ok, false);
  assert.equal(await sameContent(cloud.url, layer.url, ['mixed/good']), undefined);
  proxy.fault();
  await arrives('mixed/bad');
});

test('a parent that is not there: the pass fails in words, and the next one heals it', async () => {
  await image('away', SMALL);
  await cloud.kill();
  const { ok, failures } = await layer.sync();
  assert.equal(ok, false);
  assert.equal(failures[0]!.code, 'parent-unreachable');
  await cloud.restart();
  await arrives('away');
});
