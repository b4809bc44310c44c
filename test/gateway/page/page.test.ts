import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { buildPage, isStale, BUILT as TARGET } from '../../../page/build.ts';
import { BUILT, readPageFiles } from '../../../services/gateway/page/page-files.ts';
import { GatewayRig } from '../gateway-rig.ts';
import { raw } from '../http.ts';

let rig: GatewayRig;
before(async () => {
  if (isStale()) await buildPage();
  rig = await GatewayRig.start();
});
after(async () => await rig[Symbol.asyncDispose]());

const MAX_BUNDLE_BYTES = 150_000;

test('the build puts the page where the gateway reads it, in 150 kB', async () => {
  assert.equal(TARGET, BUILT);
  const names = await readdir(BUILT);
  const sent = names.filter((name) => name.endsWith('.gz') || !names.includes(`${name}.gz`));
  const sizes = await Promise.all(sent.map(async (name) => (await stat(join(BUILT, name))).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total <= MAX_BUNDLE_BYTES, `${total} bytes`);
});

test('the root and /ui lead to the page, by an address that is right behind any proxy', async () => {
  for (const path of ['/', '/ui']) {
    const answer = await rig.fetch('GET', path);
    assert.deepEqual([answer.status, answer.headers.get('location')], [302, 'ui/']);
  }
});

test('the page allows nothing inline and nothing of another host, and no other page may frame it', async () => {
  const answer = await rig.fetch('GET', '/ui/');
  assert.equal(answer.status, 200);
  const policy = answer.headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:|data:/);
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(answer.headers.get('referrer-policy'), 'no-referrer');
  const text = await answer.text();
  assert.doesNotMatch(text, /<script>|<style|style=|\son\w+=|https?:\/\//);
});

test('files with a hash in their name are cached for good, the index is checked each time', async () => {
  const index = await rig.fetch('GET', '/ui/');
  assert.equal(index.headers.get('cache-control'), 'no-cache');
  const etag = index.headers.get('etag') ?? '';
  const again = await rig.fetch('GET', '/ui/', { headers: { 'if-none-match': `"other", W/${etag}` } });
  assert.deepEqual([again.status, await again.text()], [304, '']);
  const [, script = ''] = /src="([^"]+\.js)"/.exec(await index.text()) ?? [];
  const answer = await rig.fetch('GET', `/ui/${script}`);
  assert.match(answer.headers.get('cache-control') ?? '', /immutable/);
  assert.equal(answer.headers.get('content-type'), 'text/javascript; charset=utf-8');
});

test('a condition of 100 kB is evaluated, also one of white space alone', async () => {
  const etag = (await rig.fetch('GET', '/ui/')).headers.get('etag') ?? '';
  const run = ' '.repeat(100_000);
  for (const [condition, status] of [
    [`"x"${run}"y"`, 200],
    [`"x"${run},${run.slice(50_000)}`.slice(0, 110_000), 200],
    [`"x",${run}${etag}`, 304],
    ['"x",'.repeat(25_000) + etag, 304],
    [etag.replaceAll('"', ''), 200],
    ['*', 304],
  ] as const) {
    const headers = { 'if-none-match': condition };
    assert.equal((await rig.fetch('GET', '/ui/', { headers })).status, status, condition.slice(0, 20));
  }
});

test('a file is sent packed to those who accept it, and as it is to others', async () => {
  const plain = await raw(rig.port, 'GET /ui/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
  assert.doesNotMatch(plain, /content-encoding/i);
  assert.match(plain, /<!doctype html>/);
  const refused = await raw(
    rig.port,
    'GET /ui/ HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip;q=0\r\nconnection: close\r\n\r\n',
  );
  assert.doesNotMatch(refused, /content-encoding/i);
  const packed = await raw(
    rig.port,
    'GET /ui/ HTTP/1.1\r\nhost: localhost\r\naccept-encoding: br, gzip\r\nconnection: close\r\n\r\n',
  );
  assert.match(packed, /content-encoding: gzip/i);
  const body = Buffer.from(packed.slice(packed.indexOf('\r\n\r\n') + 4), 'latin1');
  assert.match(gunzipSync(body).toString(), /<!doctype html>/);
});

test('no other file can be read', async () => {
  for (const path of [
    '/ui/../package.json',
    '/ui/%2e%2e/page-files.ts',
    '/ui/page-files.ts',
    '/ui/index.html.gz',
  ]) {
    const { status } = await rig.fetch('GET', path);
    assert.equal(status, 404, path);
  }
  assert.equal((await rig.fetch('POST', '/ui/')).status, 405);
});

test('without a build, the index says how to build the page', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-page-'));
  try {
    for (const name of ['', 'page.js']) {
      if (name) await writeFile(join(folder, name), 'an incomplete build');
      const files = await readPageFiles(folder);
      assert.deepEqual([...files.keys()], ['index.html']);
      assert.match(files.get('index.html')?.bytes.toString() ?? '', /node page\/build\.ts/);
    }
    assert.equal((await readPageFiles(join(folder, 'missing'))).size, 1);
  } finally {
    await rm(folder, { recursive: true });
  }
});
