import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { ALL, basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { check } from '../rows.ts';

/** A token for `a/*` reveals nothing about `b/x`: each answer equals the one for `b/none`, which does not exist. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const secret = 'the bytes of b/x';
const blob = sha256(secret);
const body = JSON.stringify({
  schemaVersion: 2,
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: blob, size: secret.length },
  layers: [],
});
const manifest = sha256(body);
const type = { 'content-type': mediaTypes.ociManifest };
const credentials: Record<string, Record<string, string>> = {};
let upload = '';

before(async () => {
  for (const repository of ['a/m', 'b/x', 'b/y', 'c/x']) {
    await layer.blob(repository, secret);
    const { status } = await layer.fetch('PUT', `/v2/${repository}/manifests/v1`, { headers: type, body });
    equal(status, 201);
  }
  // The content is not in b/x only: the tests compare repositories, not content.
  await layer.fetch('DELETE', `/v2/a/m/manifests/${manifest}`);
  await layer.fetch('DELETE', `/v2/a/m/blobs/${blob}`);
  upload = (await layer.upload('b/x')).split('/').at(-1)!;
  const tokens = await Tokens.of(layer);
  await tokens.create('admin', on('*', ...ALL));
  const Basic = basic('a', await tokens.create('a', on('a/*', ...ALL)));
  const scopes = ['b/x', 'b/none', 'a/m'].map((repository) => `repository:${repository}:*`);
  const Bearer = bearer(await tokenFor(layer, Basic, ...scopes, 'registry:catalog:*'));
  const wide = bearer(await tokenFor(layer, Basic, 'repository:*:*'));
  Object.assign(credentials, { Basic, Bearer, 'wide Bearer': wide });
});

/** Everything that a client can see of an answer, without the name of the repository. */
async function visibleAnswer(
  repository: string,
  [method, path]: [string, string],
  by: string,
  sent: { headers?: Record<string, string>; body?: string } = {},
) {
  const response = await layer.fetch(method, `/v2/${repository}/${path}`, {
    ...sent,
    headers: { ...credentials[by], ...sent.headers },
  });
  const plain = (text: string) => text.replaceAll(repository, 'b/?');
  const headers = [...response.headers].filter(([name]) => name !== 'date' && name !== 'content-length');
  const length = Number(response.headers.get('content-length') ?? 0);
  const answer = await response.text();
  const names = method === 'HEAD' ? 0 : answer.split(repository).length - 1;
  return {
    status: response.status,
    headers: headers.map(([name, value]) => [name, plain(value)]),
    length: method === 'HEAD' ? length > 0 : length - names * repository.length,
    text: plain(answer),
  };
}

const probes: [string, string][] = [
  ['GET', `blobs/${blob}`],
  ['HEAD', `blobs/${blob}`],
  ['DELETE', `blobs/${blob}`],
  ['GET', 'manifests/v1'],
  ['HEAD', 'manifests/v1'],
  ['GET', `manifests/${manifest}`],
  ['DELETE', 'manifests/v1'],
  ['DELETE', `manifests/${manifest}`],
  ['PUT', 'manifests/v1'],
  ['GET', 'tags/list'],
  ['GET', 'tags/list?n=0'],
  ['GET', 'tags/list?n=x'],
  ['HEAD', 'tags/list'],
  ['GET', `referrers/${manifest}`],
  ['GET', `referrers/${manifest}?artifactType=x`],
  ['POST', 'blobs/uploads/'],
  ['POST', `blobs/uploads/?digest=${blob}`],
  ['POST', `blobs/uploads/?mount=${blob}&from=a/m`],
  ['GET', 'blobs/uploads/ID'],
  ['PATCH', 'blobs/uploads/ID'],
  ['PUT', `blobs/uploads/ID?digest=${blob}`],
  ['DELETE', 'blobs/uploads/ID'],
  ['GET', 'blobs/sha256:nonsense'],
  ['GET', 'manifests/.nonsense'],
  ['PUT', 'tags/list'],
];
for (const by of ['Basic', 'Bearer', 'wide Bearer']) {
  for (const [method, path] of probes) {
    const name = path.replace(/[0-9a-f]{40,}/, '…');
    test(`${method} b/x/${name} by ${by} is answered as for b/none`, async () => {
      const probe: [string, string] = [method, path.replace('ID', upload)];
      const sent = method === 'PUT' ? { headers: type, body } : {};
      const hidden = await visibleAnswer('b/x', probe, by, sent);
      deepEqual(hidden, await visibleAnswer('b/none', probe, by, sent));
      equal(hidden.status >= 400, true);
    });
  }
}

test('a hidden repository is answered as a missing one that the token may read', async () => {
  for (const probe of [
    ['GET', 'tags/list'],
    ['GET', 'manifests/v1'],
    ['GET', `blobs/${blob}`],
  ] as const) {
    const own = await visibleAnswer('a/none', [...probe], 'Basic');
    deepEqual(await visibleAnswer('b/x', [...probe], 'Basic'), own);
  }
});

test('refused requests leave the content and the upload of b/x unchanged', async () => {
  const admin = basic('admin', await (await Tokens.of(layer)).rotate('admin'));
  await check(layer, { send: ['GET', `/v2/b/x/blobs/${blob}`], headers: admin, status: 200, text: secret });
  await check(layer, { send: ['GET', '/v2/b/x/manifests/v1'], headers: admin, status: 200 });
  await check(layer, { send: ['GET', `/v2/b/x/blobs/uploads/${upload}`], headers: admin, status: 204 });
});

for (const by of ['Basic', 'Bearer', 'wide Bearer']) {
  test(`by ${by}, a mount from b/x is answered as one from b/none, and does not link the blob in a/m`, async () => {
    const results = [];
    const start = 'POST';
    for (const from of [
      '&from=b/x',
      '&from=b/none',
      '&from=c/x',
      '&from=a/none',
      '&from=B/X',
      '&from=',
      '',
    ]) {
      const path = `/v2/a/m/blobs/uploads/?mount=${blob}${from}`;
      const response = await layer.fetch(start, path, { headers: credentials[by]! });
      const headers = [...response.headers].filter(([name]) => name !== 'date');
      const id = response.headers.get('docker-upload-uuid') ?? '';
      notEqual(id, '');
      results.push([response.status, await response.text(), JSON.stringify(headers).replaceAll(id, '?')]);
    }
    equal(results[0]?.[0], 202);
    for (const each of results) deepEqual(each, results[0]);
    const head: [string, string] = ['HEAD', `/v2/a/m/blobs/${blob}`];
    await check(layer, { send: head, headers: credentials[by]!, status: 404 });
  });
}

test('a blob is mounted from one readable repository into another', async () => {
  const headers = credentials.Basic!;
  const own = sha256('own');
  const up: [string, string] = ['POST', `/v2/a/m/blobs/uploads/?digest=${own}`];
  await check(layer, { send: up, headers, body: 'own', status: 201 });
  const mount: [string, string] = ['POST', `/v2/a/n/blobs/uploads/?mount=${own}&from=a/m`];
  await check(layer, { send: mount, headers, status: 201 });
  // This Bearer token has no scope to read a/m.
  const narrow = bearer(await tokenFor(layer, headers, 'repository:a/n:pull,push'));
  const again: [string, string] = ['POST', `/v2/a/n/blobs/uploads/?mount=${own}&from=a/m`];
  await check(layer, { send: again, headers: narrow, status: 202 });
});

test('an upload of b/x is answered in a/m as one that does not exist', async () => {
  const strip = (text: string, id: string) => text.replaceAll(id, '?');
  for (const [method, query] of [
    ['GET', ''],
    ['PATCH', ''],
    ['PUT', `?digest=${blob}`],
    ['DELETE', ''],
  ]) {
    const results = [];
    for (const id of [upload, upload.replace(/.{6}$/, '000000')]) {
      const path = `/v2/a/m/blobs/uploads/${id}${query}`;
      const response = await layer.fetch(method!, path, { headers: credentials.Basic! });
      results.push([response.status, strip(await response.text(), id)]);
    }
    equal(results[0]?.[0], 404);
    deepEqual(results[0], results[1], method);
  }
});

test('the digest of a blob of b/x does not give access to it: its bytes must be uploaded', async () => {
  const headers = credentials.Basic!;
  const results = [];
  for (const digest of [blob, sha256('not stored')]) {
    const answers = [];
    const post = await layer.fetch('POST', `/v2/a/m/blobs/uploads/?digest=${digest}`, { headers });
    answers.push(post.status, (await post.text()).replaceAll(digest, '?'));
    const started = await layer.fetch('POST', '/v2/a/m/blobs/uploads/', { headers });
    const put = await layer.fetch('PUT', `${started.headers.get('location')}?digest=${digest}`, {
      headers,
      body: 'x',
    });
    answers.push(put.status, (await put.text()).replaceAll(digest, '?'));
    results.push(answers);
  }
  equal(results[0]?.[0], 400);
  deepEqual(results[0], results[1]);
});

test('a manifest that names a blob of b/x is refused as one that names a missing blob', async () => {
  const headers = { ...credentials.Basic!, ...type };
  const results = [];
  for (const digest of [blob, sha256('not stored')]) {
    const response = await layer.fetch('PUT', '/v2/a/m/manifests/v1', {
      headers,
      body: body.replace(blob, digest),
    });
    results.push([response.status, (await response.text()).replaceAll(digest, '?')]);
  }
  equal(results[0]?.[0], 404);
  deepEqual(results[0], results[1]);
});

test('referrers of a manifest of b/x are not listed in another repository', async () => {
  const headers = credentials.Basic!;
  const read: [string, string] = ['GET', `/v2/a/m/referrers/${manifest}`];
  const empty = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] });
  await check(layer, { send: read, headers, status: 200, text: empty });
});

test('the catalog has the readable repositories and no trace of others, page by page', async () => {
  for (const by of ['Basic', 'Bearer']) {
    const headers = credentials[by]!;
    const all = { send: ['GET', '/v2/_catalog'] as [string, string], headers, status: 200 };
    await check(layer, { ...all, text: '{"repositories":["a/m","a/n"]}', expectedHeaders: { link: null } });
    const link = '</v2/_catalog?n=1&last=a%2Fm>; rel="next"';
    const first = {
      ...all,
      send: ['GET', '/v2/_catalog?n=1'] as [string, string],
      text: '{"repositories":["a/m"]}',
    };
    await check(layer, { ...first, expectedHeaders: { link } });
    // b/x, b/y and c/x follow it: no answer reveals that.
    for (const query of ['n=1&last=a/m', 'n=2&last=a/m', 'n=100&last=a/m']) {
      const send: [string, string] = ['GET', `/v2/_catalog?${query}`];
      await check(layer, { ...all, send, text: '{"repositories":["a/n"]}', expectedHeaders: { link: null } });
    }
    for (const query of ['last=a/n', 'n=1&last=b/w', 'n=0', 'n=5&last=zzz']) {
      const send: [string, string] = ['GET', `/v2/_catalog?${query}`];
      await check(layer, { ...all, send, text: '{"repositories":[]}', expectedHeaders: { link: null } });
    }
  }
});
