import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { ALL, basic, bearer, on, Tokens, tokenFor } from '../accounts.ts';
import { sha256, TestLayer } from '../layer.ts';
import { check } from '../rows.ts';

/** Who has a token for `a/*` learns nothing of `b/x`: each answer is the one that there is for `b/none`. */

const layer = await TestLayer.start();
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
  // Not in b/x only, so that what is compared is the repository, not the content.
  await layer.fetch('DELETE', `/v2/a/m/manifests/${manifest}`);
  await layer.fetch('DELETE', `/v2/a/m/blobs/${blob}`);
  upload = (await layer.upload('b/x')).split('/').at(-1)!;
  const tokens = await Tokens.of(layer);
  await tokens.create('admin', on('*', ...ALL));
  const Basic = basic('a', await tokens.create('a', on('a/*', ...ALL)));
  const scopes = ['b/x', 'b/none', 'a/m'].map((repository) => `repository:${repository}:*`);
  const Bearer = bearer(await tokenFor(layer, Basic, ...scopes, 'registry:catalog:*'));
  Object.assign(credentials, { Basic, Bearer, wide: bearer(await tokenFor(layer, Basic, 'repository:*:*')) });
});

/** All that a client sees, with the name of the repository taken out. */
async function seen(
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
  const said = await response.text();
  const names = method === 'HEAD' ? 0 : said.split(repository).length - 1;
  return {
    status: response.status,
    headers: headers.map(([name, value]) => [name, plain(value)]),
    length: method === 'HEAD' ? length > 0 : length - names * repository.length,
    said: plain(said),
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
for (const by of ['Basic', 'Bearer', 'wide']) {
  for (const [method, path] of probes) {
    const name = path.replace(/[0-9a-f]{40,}/, '…');
    test(`${method} b/x/${name} by ${by} is ${method} b/none/${name}`, async () => {
      const there: [string, string] = [method, path.replace('ID', upload)];
      const sent = method === 'PUT' ? { headers: type, body } : {};
      const hidden = await seen('b/x', there, by, sent);
      deepEqual(hidden, await seen('b/none', there, by, sent));
      equal(hidden.status >= 400, true);
    });
  }
}

test('a repository that is hidden is answered as one of their own that is not there', async () => {
  for (const probe of [
    ['GET', 'tags/list'],
    ['GET', 'manifests/v1'],
    ['GET', `blobs/${blob}`],
  ] as const) {
    const own = await seen('a/none', [...probe], 'Basic');
    deepEqual(await seen('b/x', [...probe], 'Basic'), own);
  }
});

test('what was not read was not touched either', async () => {
  const admin = basic('admin', await (await Tokens.of(layer)).rotate('admin'));
  await check(layer, { send: ['GET', `/v2/b/x/blobs/${blob}`], headers: admin, status: 200, text: secret });
  await check(layer, { send: ['GET', '/v2/b/x/manifests/v1'], headers: admin, status: 200 });
  await check(layer, { send: ['GET', `/v2/b/x/blobs/uploads/${upload}`], headers: admin, status: 204 });
});

for (const by of ['Basic', 'Bearer', 'wide']) {
  test(`by ${by}, a blob of b/x is mounted as little as one of b/none, and does not come to a/m`, async () => {
    const told = [];
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
      told.push([response.status, await response.text(), JSON.stringify(headers).replaceAll(id, '?')]);
    }
    equal(told[0]?.[0], 202);
    for (const each of told) deepEqual(each, told[0]);
    const head: [string, string] = ['HEAD', `/v2/a/m/blobs/${blob}`];
    await check(layer, { send: head, headers: credentials[by]!, status: 404 });
  });
}

test('what may be read is mounted, from one of their own to another', async () => {
  const headers = credentials.Basic!;
  const own = sha256('own');
  const up: [string, string] = ['POST', `/v2/a/m/blobs/uploads/?digest=${own}`];
  await check(layer, { send: up, headers, body: 'own', status: 201 });
  const mount: [string, string] = ['POST', `/v2/a/n/blobs/uploads/?mount=${own}&from=a/m`];
  await check(layer, { send: mount, headers, status: 201 });
  // The Bearer token was not had for reading there.
  const narrow = bearer(await tokenFor(layer, headers, 'repository:a/n:pull,push'));
  const again: [string, string] = ['POST', `/v2/a/n/blobs/uploads/?mount=${own}&from=a/m`];
  await check(layer, { send: again, headers: narrow, status: 202 });
});

test("an upload of b/x is not known in a/m, as one that nobody began isn't", async () => {
  const strip = (text: string, id: string) => text.replaceAll(id, '?');
  for (const [method, query] of [
    ['GET', ''],
    ['PATCH', ''],
    ['PUT', `?digest=${blob}`],
    ['DELETE', ''],
  ]) {
    const told = [];
    for (const id of [upload, upload.replace(/.{6}$/, '000000')]) {
      const path = `/v2/a/m/blobs/uploads/${id}${query}`;
      const response = await layer.fetch(method!, path, { headers: credentials.Basic! });
      told.push([response.status, strip(await response.text(), id)]);
    }
    equal(told[0]?.[0], 404);
    deepEqual(told[0], told[1], method);
  }
});

test('to know the digest of a blob is not to have it: its bytes must come', async () => {
  const headers = credentials.Basic!;
  const told = [];
  for (const digest of [blob, sha256('nobody has this')]) {
    const answers = [];
    const post = await layer.fetch('POST', `/v2/a/m/blobs/uploads/?digest=${digest}`, { headers });
    answers.push(post.status, (await post.text()).replaceAll(digest, '?'));
    const begun = await layer.fetch('POST', '/v2/a/m/blobs/uploads/', { headers });
    const put = await layer.fetch('PUT', `${begun.headers.get('location')}?digest=${digest}`, {
      headers,
      body: 'x',
    });
    answers.push(put.status, (await put.text()).replaceAll(digest, '?'));
    told.push(answers);
  }
  equal(told[0]?.[0], 400);
  deepEqual(told[0], told[1]);
});

test('a manifest that names a blob of b/x is refused as one that names a blob of nobody', async () => {
  const headers = { ...credentials.Basic!, ...type };
  const told = [];
  for (const digest of [blob, sha256('nobody has this')]) {
    const response = await layer.fetch('PUT', '/v2/a/m/manifests/v1', {
      headers,
      body: body.replace(blob, digest),
    });
    told.push([response.status, (await response.text()).replaceAll(digest, '?')]);
  }
  equal(told[0]?.[0], 404);
  deepEqual(told[0], told[1]);
});

test('what refers to a manifest of b/x is not listed elsewhere', async () => {
  const headers = credentials.Basic!;
  const read: [string, string] = ['GET', `/v2/a/m/referrers/${manifest}`];
  const empty = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] });
  await check(layer, { send: read, headers, status: 200, text: empty });
});

test('the catalogue has their own repositories and no trace of others, page by page', async () => {
  for (const by of ['Basic', 'Bearer']) {
    const headers = credentials[by]!;
    const all = { send: ['GET', '/v2/_catalog'] as [string, string], headers, status: 200 };
    await check(layer, { ...all, text: '{"repositories":["a/m","a/n"]}', want: { link: null } });
    const link = '</v2/_catalog?n=1&last=a%2Fm>; rel="next"';
    const first = {
      ...all,
      send: ['GET', '/v2/_catalog?n=1'] as [string, string],
      text: '{"repositories":["a/m"]}',
    };
    await check(layer, { ...first, want: { link } });
    // b/x, b/y and c/x come after it: nothing says so.
    for (const query of ['n=1&last=a/m', 'n=2&last=a/m', 'n=100&last=a/m']) {
      const send: [string, string] = ['GET', `/v2/_catalog?${query}`];
      await check(layer, { ...all, send, text: '{"repositories":["a/n"]}', want: { link: null } });
    }
    for (const query of ['last=a/n', 'n=1&last=b/w', 'n=0', 'n=5&last=zzz']) {
      const send: [string, string] = ['GET', `/v2/_catalog?${query}`];
      await check(layer, { ...all, send, text: '{"repositories":[]}', want: { link: null } });
    }
  }
});
