import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { listParked } from '#proto/sync/outgoing.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { type FaultProxy, startProxy } from '../../../support/proxy/fault-proxy.ts';
import { type Cloud, startCloud } from '../../../support/registry/cloud.ts';
import { getManifest, pushImage } from '../../../support/registry/image.ts';

/** `terrace retry` with a registry that is no Terrace, and that refuses or fails for a while. */

let cloud: Cloud;
let proxy: FaultProxy;
let layer: TestLayer;

before(async () => {
  cloud = await startCloud();
  proxy = await startProxy(cloud.url);
  layer = await testLayer({ parent: proxy.url, mode: 'ReadWrite', compact: 'hosted', repositories: ['*'] });
  await layer.sync();
});

beforeEach(() => {
  proxy.fault();
  proxy.clearRequests();
});

after(async () => {
  await layer?.stop();
  await proxy?.[Symbol.asyncDispose]();
  await cloud?.[Symbol.asyncDispose]();
});

const terrace = (...parameters: string[]) => runCommandHere('retry', ...parameters, '--data', layer.data);
const push = (host: string, repository: string, tag: string) =>
  pushImage(host, repository, tag, { layers: [{ seed: `${repository}:${tag}`, size: 2_000 }] });
const digestAt = async (host: string, repository: string, tag: string) =>
  (await getManifest(host, repository, tag))?.digest;
const parked = async () =>
  (await layer.bus().call(listParked, { limit: 10 })).parked.map(
    ({ repository, reference }) => `${repository}:${reference}`,
  );

test('a refused change is tried again by name, and the others stay', async () => {
  const refused = /^\/v2\/(a\/one|b\/two)\/manifests\/v\d$/;
  proxy.fault(({ method, path }) =>
    method === 'PUT' && refused.test(path)
      ? { answer: { status: 403, body: '{"errors":[{"code":"DENIED","message":"the tag is locked"}]}' } }
      : undefined,
  );
  const first = await push(layer.url, 'a/one', 'v1');
  await push(layer.url, 'a/one', 'v2');
  const other = await push(layer.url, 'b/two', 'v1');
  assert.equal((await layer.sync()).parked, 3);

  const still = await terrace('a/one:v1');
  assert.equal(still.code, 1);
  assert.match(still.text, /^Trying again: 1 refused by the parent\.\n/);
  assert.match(still.text, /still refused by the parent: a\/one:v1: .*the tag is locked/);
  assert.match(still.text, /\n0 entries done, 1 left, in /);

  proxy.fault();
  proxy.clearRequests();
  const named = await terrace('a/one:v1');
  assert.deepEqual([named.code, /\ndone: a\/one:v1\n1 entry done, 0 left, in /.test(named.text)], [0, true]);
  assert.equal(await digestAt(cloud.host, 'a/one', 'v1'), first.digest);
  assert.deepEqual(await parked(), ['a/one:v2', 'b/two:v1']);
  assert.deepEqual(
    proxy.requests.filter(({ path }) => !path.startsWith('/v2/a/one/') && path !== '/v2/'),
    [],
    'nothing else is compared',
  );

  const repository = await terrace('a/one', '--json');
  const result = JSON.parse(repository.stdout.trim().split('\n').at(-1) as string);
  assert.deepEqual([result.type, result.done.length, result.left.length], ['retried', 1, 0]);
  assert.deepEqual(await parked(), ['b/two:v1']);

  const all = await terrace();
  assert.equal(all.code, 0, all.text);
  assert.equal(await digestAt(cloud.host, 'b/two', 'v1'), other.digest);
  assert.deepEqual(await parked(), []);
  const none = await terrace();
  assert.deepEqual([none.code, /^Nothing was refused or has failed: /.test(none.text)], [0, true]);
});

test('a pull that failed, and a repository that could not be compared, are tried again by name', async () => {
  const wanted = await push(cloud.url, 'c/down', 'v1');
  await push(cloud.url, 'd/list', 'v1');
  proxy.fault(({ method, path }) =>
    method === 'GET' && (path.startsWith('/v2/c/down/manifests/') || path.startsWith('/v2/d/list/tags/'))
      ? { answer: { status: 403, body: '{"errors":[{"code":"DENIED","message":"not now"}]}' } }
      : undefined,
  );
  assert.equal((await layer.sync()).ok, false);
  proxy.fault();
  proxy.clearRequests();
  const pulled = await terrace('c/down:v1');
  assert.equal(pulled.code, 0, pulled.text);
  assert.match(pulled.text, /^Trying again: 1 failed\.\n/);
  assert.equal(await digestAt(layer.host, 'c/down', 'v1'), wanted.digest);
  assert.equal(proxy.requests.filter(({ path }) => path.startsWith('/v2/d/list/')).length, 0);
  const compared = await terrace('d/list');
  assert.equal(compared.code, 0, compared.text);
  assert.match(compared.text, /^Trying again: 1 not compared\.\n/);
  assert.ok(await digestAt(layer.host, 'd/list', 'v1'));
});

test('below a Terrace, whose changes are followed, one tag and everything are tried again, too', async () => {
  await using upper = await testLayer({ compact: 'hosted' });
  await using between = await startProxy(upper.url);
  await using lower = await testLayer({
    ...{ parent: between.url, mode: 'ReadWrite', compact: 'hosted', repositories: ['*'] },
  });
  assert.equal((await lower.sync()).ok, true);
  const fail = (pattern: RegExp) =>
    between.fault(({ method, path }) =>
      pattern.test(`${method} ${path}`)
        ? { answer: { status: 403, body: '{"errors":[{"code":"DENIED","message":"not now"}]}' } }
        : undefined,
    );
  fail(/^(GET \/v2\/e\/down|PUT \/v2\/e\/up)\/manifests\//);
  const [first, second] = [await push(upper.url, 'e/down', 'v1'), await push(upper.url, 'e/down', 'v2')];
  const own = await push(lower.url, 'e/up', 'v1');
  const { failed, parked: refused } = await lower.sync();
  assert.deepEqual([failed, refused], [2, 1]);
  between.fault();
  const retry = (...names: string[]) => runCommandHere('retry', ...names, '--data', lower.data);
  const named = await retry('e/down:v1');
  assert.equal(named.code, 0, named.text);
  assert.equal(await digestAt(lower.host, 'e/down', 'v1'), first.digest);
  assert.equal(await digestAt(lower.host, 'e/down', 'v2'), undefined);
  between.clearRequests();
  const all = await retry();
  assert.equal(all.code, 0, all.text);
  assert.match(all.text, /^Trying again: 1 refused by the parent, 1 failed\.\n/);
  assert.equal(await digestAt(lower.host, 'e/down', 'v2'), second.digest);
  assert.equal(await digestAt(upper.host, 'e/up', 'v1'), own.digest);
  assert.equal(
    between.requests.filter(({ path }) => path.includes('/tags/list') || path.includes('_catalog')).length,
    0,
    'nothing is listed again',
  );
});

test('a name that stands for nothing is refused', async () => {
  const { code, text } = await terrace('A/b');
  assert.deepEqual([code, /"A\/b" names nothing: write REPOSITORY/.test(text)], [2, true]);
});
