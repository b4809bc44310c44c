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
import { firstDifference, pushImage } from '../../support/registry/image.ts';
import { patience } from '../../support/until.ts';

/** Faults of the parent, injected between a layer and a real registry. Each test has a repository of its own. */
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

/** Pushes an image to a repository of its own. Its second layer takes several chunks, or one. */
async function image(repository: string, size = LARGE): Promise<{ digest: string; blobs: RegExp }> {
  proxy.fault();
  proxy.clearRequests();
  const { layers } = await pushImage(cloud.url, repository, 'v1', { layers: [1_000, size] });
  return { digest: layers[1]!.digest, blobs: new RegExp(`^/v2/${repository}/blobs/${layers[1]!.digest}$`) };
}

async function assertPulled(repository: string): Promise<void> {
  const { failures } = await layer.sync();
  assert.deepEqual(failures, []);
  assert.equal(await firstDifference(cloud.url, layer.url, [repository]), undefined);
}

/** Faults after which the same pass continues and succeeds, and the max bytes beyond the size of the blob. */
const transient: [string, Action, number][] = [
  ['a connection that breaks during a chunk', { cutAfter: 3 * MIB }, 0.5 * MIB],
  ['a connection that stalls without closing', { stallAfter: 2 * MIB }, 0.5 * MIB],
  ['an answer that ends too early without an error', { truncateAfter: 1 * MIB }, 0.5 * MIB],
  ['429 with Retry-After', { answer: { status: 429, headers: { 'retry-after': '1' } } }, 0],
  ['500', { answer: { status: 500, body: 'oops' } }, 0],
  [
    "200 with a portal's page",
    { answer: { status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Welcome</h1>' } },
    0,
  ],
];
if (process.env.TERRACE_FULL === '1') {
  transient.push(
    ["502 with a proxy's page", { answer: { status: 502, body: '<html>Bad Gateway</html>' } }, 0],
    ['a connection closed without an answer', { drop: true }, 0],
  );
}
for (const [index, [name, action, extra]] of transient.entries()) {
  test(`the pass succeeds after ${name}`, async () => {
    const repository = `transient/${index}`;
    const { blobs, digest } = await image(repository);
    proxy.fault(first(index === 4 ? 2 : 1, blobs, action));
    await assertPulled(repository);
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

test('after a 429 with Retry-After, nothing is requested before that time', async () => {
  const { blobs, digest } = await image('patient');
  proxy.fault(first(1, blobs, { answer: { status: 429, headers: { 'retry-after': '2' } } }));
  const start = Date.now();
  const pass = layer.sync();
  const { until } = await layer.event(transferDelayed, (data) => data.digest === digest);
  assert.ok(until - start >= 2_000);
  await proxy.until(({ requests }) =>
    requests.some(({ path, status }) => blobs.test(path) && status === 206),
  );
  assert.ok(Date.now() >= until - 50);
  await pass;
});

test('a parent that ignores Range is read in sequence, without repeated bytes', async () => {
  const { blobs } = await image('unranged');
  proxy.fault(({ path }) => (blobs.test(path) ? { ignoreRange: true } : undefined));
  await assertPulled('unranged');
  assert.ok(proxy.bytesOf(blobs) < 11 * MIB);
});

test('a blob is correct if the parent stops honouring Range after a broken connection', async () => {
  const { blobs } = await image('unranged-later');
  proxy.fault(({ path, index }) => {
    if (!blobs.test(path)) return undefined;
    return index === 0 ? { cutAfter: 1 * MIB } : { ignoreRange: true };
  });
  await assertPulled('unranged-later');
});

test('a refused catalog does not delay the repositories that are already in the layer', async () => {
  await image('known', SMALL);
  await assertPulled('known');
  const { digest } = await pushImage(cloud.url, 'known', 'v2', { layers: [3_000] });
  proxy.fault(({ path }) => (path === '/v2/_catalog' ? { answer: { status: 403 } } : undefined));
  const { failures } = await layer.sync();
  assert.deepEqual(
    failures.map(({ code, repository }) => [code, repository]),
    [['parent-refused', undefined]],
  );
  assert.match(
    failures[0]?.reason ?? '',
    /403.*; name each repository instead of \* in repositories, or let/,
  );
  const served = await fetch(`${layer.url}/v2/known/manifests/v2`);
  assert.equal(served.headers.get('docker-content-digest'), digest);
});

/** Faults that last for this pass: an event reports them, nothing is stored, and the next pass succeeds. */
const lasting: [string, Action, string, RegExp][] = [
  ['a wrong byte', { corruptAt: 100_000 }, 'parent-invalid', /content that is not sha256:/],
  ['a wrong Content-Range', { contentRange: 'bytes 5-9/10' }, 'parent-invalid', /bytes 5-9\/10/],
  ['a refused blob', { answer: { status: 403, body: 'no' } }, 'parent-refused', /403: no/],
  ['a missing blob', { answer: { status: 404 } }, 'blob-unknown', /has no blob/],
  [
    'a redirect to another protocol',
    { answer: { status: 307, headers: { location: 'ftp://x/' } } },
    'parent-invalid',
    /redirects to/,
  ],
];
for (const [index, [name, action, code, reason]] of lasting.entries()) {
  test(`${name} is reported by an event, and the next pass succeeds`, async () => {
    const repository = `lasting/${index}`;
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
    await assertPulled(repository);
  });
}

test('a manifest that does not match its digest is a failure of the pass, and the next pass succeeds', async () => {
  await image('mismatch', SMALL);
  proxy.fault(({ path, method }) =>
    method === 'GET' && /^\/v2\/mismatch\/manifests\//.test(path) ? { corruptAt: 20 } : undefined,
  );
  const { failures } = await layer.sync();
  assert.deepEqual(
    failures.map(({ code, repository }) => [code, repository]),
    [['parent-invalid', 'mismatch']],
  );
  proxy.fault();
  await assertPulled('mismatch');
});

const lists = ['/v2/', '/v2/_catalog', '/v2/lists/tags/list', '/v2/lists/manifests/v1'];
test('a pass continues after 429, 500 and closed connections during the comparison', async () => {
  await image('lists', SMALL);
  const actions: Action[] = [
    { answer: { status: 429, headers: { 'retry-after': '1' } } },
    { answer: { status: 500 } },
    { drop: true },
    { drop: true },
  ];
  proxy.fault(({ path, index }) => (index === 0 ? actions[lists.indexOf(path)] : undefined));
  await assertPulled('lists');
});

test('an answer without a list of tags deletes no tag', async () => {
  await image('listless', SMALL);
  await assertPulled('listless');
  proxy.fault(({ path }) =>
    path === '/v2/listless/tags/list' ? { answer: { status: 200, body: '{}' } } : undefined,
  );
  const { failures } = await layer.sync();
  assert.deepEqual(
    failures.map(({ code, repository }) => [code, repository]),
    [['parent-invalid', 'listless']],
  );
  proxy.fault();
  await assertPulled('listless');
});

test('a listed tag whose manifest is answered 404 is not deleted', async () => {
  await image('half', SMALL);
  await assertPulled('half');
  proxy.fault(({ path }) =>
    /^\/v2\/half\/manifests\//.test(path) ? { answer: { status: 404 } } : undefined,
  );
  const { dropped } = await layer.sync();
  assert.equal(dropped, 0);
  assert.equal(await firstDifference(cloud.url, layer.url, ['half']), undefined);
});

test('a redirect to another host is followed without the token', async () => {
  const { blobs } = await image('elsewhere');
  proxy.fault(({ path, listener }) =>
    listener === 'registry' && blobs.test(path) ? { redirect: true } : undefined,
  );
  await assertPulled('elsewhere');
  const redirected = proxy.requests.filter(({ listener }) => listener === 'blobs');
  assert.ok(redirected.length >= 3);
  assert.deepEqual(
    redirected.filter(({ authorization }) => authorization !== undefined),
    [],
  );
  const direct = proxy.requests.filter(({ listener, path }) => listener === 'registry' && blobs.test(path));
  assert.ok(direct.every(({ authorization }) => authorization?.startsWith('Bearer ')));
});

test('a host that serves other content than the blob is not asked again: the next pass asks the registry', async () => {
  const { blobs } = await image('substituted', SMALL);
  let wrong: string | null = null;
  proxy.fault(({ path, listener, query }) => {
    if (!blobs.test(path)) return undefined;
    if (listener === 'registry') return { redirect: true };
    wrong ??= query.get('signature');
    return query.get('signature') === wrong ? { corruptAt: 100_000 } : undefined;
  });
  const { failures } = await layer.sync();
  assert.deepEqual(
    failures.map(({ code }) => code),
    ['parent-invalid'],
  );
  await assertPulled('substituted');
});

test('a redirect URL that expires during a transfer is requested again', async () => {
  const { blobs } = await image('expiring');
  proxy.fault(({ path, listener }) =>
    listener === 'registry' && blobs.test(path) ? { redirect: { uses: 1 } } : undefined,
  );
  await assertPulled('expiring');
});

test('redirect URLs that expire before their use are requested again at once, without repeated bytes', async () => {
  const { blobs, digest } = await image('expired');
  proxy.fault(({ path, listener, index }) => {
    if (!blobs.test(path)) return undefined;
    if (listener === 'registry') return { redirect: true };
    if (index === 1) proxy.expireUrls();
    return undefined;
  });
  await assertPulled('expired');
  assert.ok(proxy.requests.some(({ listener, status }) => listener === 'blobs' && status === 403));
  assert.equal(repeatedBytes(proxy.requests, blobs), 0);
  assert.ok(
    !layer.events.some(
      ({ type, data }) =>
        type === 'terrace.transfer.delayed' && (data as { digest: string }).digest === digest,
    ),
  );
});

test('tokens that expire during a transfer are requested again', async () => {
  const { blobs } = await image('tokens');
  proxy.fault(({ path, index }) => {
    if (blobs.test(path) && index === 1) proxy.expireTokens();
    return undefined;
  });
  await assertPulled('tokens');
});

test('a tag that fails delays no other tag', async () => {
  const { blobs } = await image('mixed/bad', SMALL);
  await pushImage(cloud.url, 'mixed/good', 'v1', { layers: [5_000] });
  proxy.fault(({ path }) => (blobs.test(path) ? { answer: { status: 403 } } : undefined));
  const { ok } = await layer.sync();
  assert.equal(ok, false);
  assert.equal(await firstDifference(cloud.url, layer.url, ['mixed/good']), undefined);
  proxy.fault();
  await assertPulled('mixed/bad');
});

test('an unreachable parent fails the pass with parent-unreachable, and the next pass succeeds', async () => {
  await image('unreachable', SMALL);
  await cloud.kill();
  const { ok, failures } = await layer.sync();
  assert.equal(ok, false);
  assert.equal(failures[0]!.code, 'parent-unreachable');
  await cloud.restart();
  await assertPulled('unreachable');
});
