import { deepEqual, equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { GatewayRig, sha256, sha512 } from '../gateway-rig.ts';
import { check, rows } from '../rows.ts';

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const config = '{"architecture":"amd64","os":"linux"}';
const layerBytes = 'not really a tar';
await layer.blob('app', config);
await layer.blob('app', layerBytes);
const of = (mediaType: string, text: string) => ({ mediaType, digest: sha256(text), size: text.length });

function image(mediaType: string = mediaTypes.ociManifest, more: object = {}): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: of('application/vnd.oci.image.config.v1+json', config),
    layers: [of('application/vnd.oci.image.layer.v1.tar', layerBytes)],
    ...more,
  });
}
const put = (reference: string, body: string, type?: string) => ({
  send: ['PUT', `/v2/app/manifests/${reference}`] as [string, string],
  headers: type === undefined ? {} : { 'content-type': type },
  body: Buffer.from(body),
});

const oci = image();
const digest = sha256(oci);

test('a manifest pushed by tag is served by GET and HEAD of its tag and digest', async () => {
  await check(layer, {
    ...put('v1', oci, mediaTypes.ociManifest),
    status: 201,
    expectedHeaders: {
      location: `/v2/app/manifests/${digest}`,
      'docker-content-digest': digest,
      'oci-subject': null,
    },
  });
  const expectedHeaders = {
    'content-type': mediaTypes.ociManifest,
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'content-length': String(oci.length),
  };
  for (const reference of ['v1', digest]) {
    const path = `/v2/app/manifests/${reference}`;
    await check(layer, { send: ['GET', path], status: 200, expectedHeaders, text: oci });
    await check(layer, { send: ['HEAD', path], status: 200, expectedHeaders });
    const headers = { 'if-none-match': `"${digest}"` };
    await check(layer, {
      send: ['GET', path],
      headers,
      status: 304,
      expectedHeaders: { etag: `"${digest}"` },
    });
    await check(layer, { send: ['HEAD', path], headers, status: 304 });
  }
});

const texts = { ASCII: 'a', 'other characters': 'ä漢字😀', 'many bytes': 'a'.repeat(50_000) };
for (const [name, title] of Object.entries(texts)) {
  test(`a manifest with ${name} is served in its exact bytes, also from the cache`, async () => {
    const text = image(undefined, { annotations: { title } });
    const reference = sha256(text);
    await check(layer, { ...put(reference, text, mediaTypes.ociManifest), status: 201 });
    const expectedHeaders = {
      'content-type': mediaTypes.ociManifest,
      'content-length': String(Buffer.byteLength(text)),
    };
    const send: [string, string] = ['GET', `/v2/app/manifests/${reference}`];
    for (let time = 0; time < 3; time += 1)
      await check(layer, { send, status: 200, expectedHeaders, text: Buffer.from(text) });
    await check(layer, { send: ['HEAD', send[1]], status: 200, expectedHeaders });
  });
}

for (const [name, mediaType] of Object.entries(mediaTypes)) {
  test(`a manifest of the type ${name} is stored and served by digest`, async () => {
    const list = { schemaVersion: 2, mediaType, manifests: [{ ...of(mediaTypes.ociManifest, oci) }] };
    const text = name === 'ociIndex' || name === 'dockerList' ? JSON.stringify(list) : image(mediaType);
    await check(layer, { ...put(sha256(text), text, `${mediaType}; charset=utf-8`), status: 201 });
    const expectedHeaders = { 'content-type': mediaType };
    await check(layer, {
      send: ['GET', `/v2/app/manifests/${sha256(text)}`],
      status: 200,
      expectedHeaders,
      text,
    });
  });
}

test('PUT without a Content-Type takes the media type from the manifest', async () => {
  const text = image(mediaTypes.ociManifest, { annotations: { a: 'untyped' } });
  await check(layer, { ...put('untyped', text), status: 201 });
  const expectedHeaders = { 'content-type': mediaTypes.ociManifest };
  await check(layer, { send: ['HEAD', '/v2/app/manifests/untyped'], status: 200, expectedHeaders });
});

test('a manifest is stored and served by its sha512 digest', async () => {
  const text = image(mediaTypes.ociManifest, { annotations: { a: 'wide' } });
  const expectedHeaders = { 'docker-content-digest': sha512(text) };
  await check(layer, { ...put(sha512(text), text, mediaTypes.ociManifest), status: 201, expectedHeaders });
  await check(layer, {
    send: ['GET', `/v2/app/manifests/${sha512(text)}`],
    status: 200,
    expectedHeaders,
    text,
  });
});

test('PUT of a manifest with a subject answers with OCI-Subject', async () => {
  const subject = of(mediaTypes.ociManifest, oci);
  const text = image(mediaTypes.ociManifest, { subject });
  await check(layer, {
    ...put('signed', text, mediaTypes.ociManifest),
    status: 201,
    expectedHeaders: { 'oci-subject': digest },
  });
});

const absent = image(mediaTypes.ociManifest, { layers: [of('application/x', 'never pushed')] });
const list = JSON.stringify({ schemaVersion: 2, manifests: [of(mediaTypes.ociManifest, 'never pushed')] });
const big = image(mediaTypes.ociManifest, { annotations: { a: 'x'.repeat(4 * 1024 * 1024) } });
const fits = image(mediaTypes.ociManifest, { annotations: { a: 'x'.repeat(4 * 1024 * 1024 - 1_000) } });
const type = mediaTypes.ociManifest;

rows(
  () => layer,
  [
    {
      title: 'a manifest without its blobs answers 404',
      ...put('x', absent, type),
      status: 404,
      code: 'MANIFEST_BLOB_UNKNOWN',
    },
    {
      title: 'an index without its manifests answers 404',
      ...put('x', list, mediaTypes.ociIndex),
      status: 404,
    },
    { title: 'a manifest of almost 4 MiB is stored', ...put('big', fits, type), status: 201 },
    {
      title: 'a manifest of almost 4 MiB is served',
      send: ['GET', '/v2/app/manifests/big'],
      status: 200,
      text: Buffer.from(fits),
    },
    {
      title: 'a manifest of more than 4 MiB answers 413',
      ...put('x', big, type),
      status: 413,
      code: 'SIZE_INVALID',
    },
    {
      title: 'a manifest that is not JSON answers 400',
      ...put('x', '{', type),
      status: 400,
      code: 'MANIFEST_INVALID',
    },
    { title: 'an empty manifest answers 400', ...put('x', '', type), status: 400, code: 'MANIFEST_INVALID' },
    {
      title: 'an unsupported media type answers 400',
      ...put('x', oci, 'text/plain'),
      status: 400,
      code: 'MANIFEST_INVALID',
    },
    {
      title: 'a media type other than that of the manifest answers 400',
      ...put('x', oci, mediaTypes.dockerManifest),
      status: 400,
    },
    {
      title: 'a digest other than that of the manifest answers 400',
      ...put(sha256('x'), oci, type),
      status: 400,
      code: 'DIGEST_INVALID',
    },
    {
      title: 'an invalid digest answers 400',
      ...put('sha256:x', oci, type),
      status: 400,
      code: 'DIGEST_INVALID',
    },
    { title: 'an invalid tag answers 400', ...put('-x', oci, type), status: 400, code: 'MANIFEST_INVALID' },
    {
      title: 'a tag of 129 characters answers 400',
      ...put('x'.repeat(129), oci, type),
      status: 400,
      code: 'MANIFEST_INVALID',
    },
    {
      title: 'none of the refused manifests has a tag',
      send: ['GET', '/v2/app/manifests/x'],
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    },
    { send: ['GET', '/v2/app/manifests/.INVALID_MANIFEST_NAME'], status: 404, code: 'MANIFEST_UNKNOWN' },
    { send: ['HEAD', '/v2/app/manifests/none'], status: 404 },
    { send: ['GET', `/v2/app/manifests/${sha256('none')}`], status: 404, code: 'MANIFEST_UNKNOWN' },
    { send: ['GET', '/v2/app/manifests/sha256:none'], status: 400, code: 'DIGEST_INVALID' },
    { send: ['GET', '/v2/never/manifests/v1'], status: 404 },
    { send: ['DELETE', '/v2/app/manifests/none'], status: 404, code: 'MANIFEST_UNKNOWN' },
    { send: ['DELETE', `/v2/app/manifests/${sha256('none')}`], status: 404, code: 'MANIFEST_UNKNOWN' },
  ],
);

test('a body of more than 4 MiB without a Content-Length answers 413', async () => {
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(1024 * 1024));
    },
  });
  const response = await fetch(`${layer.url}/v2/app/manifests/x`, {
    method: 'PUT',
    headers: { 'content-type': type },
    body,
    duplex: 'half',
  } as RequestInit);
  equal(response.status, 413);
});

test('DELETE of a tag deletes the tag only, DELETE of a digest the manifest and its tags', async () => {
  const text = image(mediaTypes.ociManifest, { annotations: { a: 'deleted' } });
  for (const tag of ['one', 'two', 'three']) await check(layer, { ...put(tag, text, type), status: 201 });
  await check(layer, { send: ['DELETE', '/v2/app/manifests/one'], status: 202 });
  await check(layer, { send: ['GET', '/v2/app/manifests/one'], status: 404 });
  await check(layer, { send: ['GET', '/v2/app/manifests/two'], status: 200 });
  await check(layer, { send: ['DELETE', `/v2/app/manifests/${sha256(text)}`], status: 202 });
  await check(layer, { send: ['GET', '/v2/app/manifests/two'], status: 404 });
  await check(layer, { send: ['GET', `/v2/app/manifests/${sha256(text)}`], status: 404 });
});

test('the referrers of a manifest are listed, all of them or those of one type', async () => {
  const subject = of(mediaTypes.ociManifest, oci);
  const path = `/v2/app/referrers/${digest}`;
  for (const artifactType of ['application/sbom', 'application/signature']) {
    const text = image(mediaTypes.ociManifest, {
      artifactType,
      subject,
      annotations: { kind: artifactType },
    });
    await check(layer, {
      ...put(sha256(text), text, type),
      status: 201,
      expectedHeaders: { 'oci-subject': digest },
    });
  }
  const expectedHeaders = { 'content-type': mediaTypes.ociIndex, 'oci-filters-applied': null };
  await check(layer, { send: ['GET', path], status: 200, expectedHeaders });
  const all = await index(path);
  equal(all.manifests.length, 3);
  const filter = `${path}?artifactType=${encodeURIComponent('application/sbom')}`;
  await check(layer, {
    send: ['GET', filter],
    status: 200,
    expectedHeaders: { 'oci-filters-applied': 'artifactType' },
  });
  const [only, ...rest] = (await index(filter)).manifests;
  deepEqual(rest, []);
  equal(only?.artifactType, 'application/sbom');
  equal(only?.annotations?.kind, 'application/sbom');
  deepEqual((await index(`/v2/app/referrers/${sha256('none')}`)).manifests, []);
  deepEqual((await index(`/v2/never/referrers/${digest}`)).manifests, []);
  await check(layer, { send: ['GET', '/v2/app/referrers/sha256:x'], status: 400, code: 'DIGEST_INVALID' });
  await check(layer, {
    send: ['HEAD', path],
    status: 200,
    expectedHeaders: { 'content-type': mediaTypes.ociIndex },
  });
});

test('many referrers are listed in pages', async () => {
  const text = image(mediaTypes.ociManifest, { annotations: { a: 'many' } });
  await check(layer, { ...put('many', text, type), status: 201 });
  const subject = of(mediaTypes.ociManifest, text);
  const all = Array.from({ length: 205 }, (_, n) =>
    image(mediaTypes.ociManifest, { subject, annotations: { n: `${n}` } }),
  );
  await Promise.all(all.map((one) => check(layer, { ...put(sha256(one), one, type), status: 201 })));
  const found: string[] = [];
  let next: string | undefined = `/v2/app/referrers/${sha256(text)}`;
  let pages = 0;
  while (next) {
    const response = await layer.fetch('GET', next);
    found.push(...((await response.json()) as Index).manifests.map((one) => one.digest));
    next = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1];
    pages += 1;
  }
  equal(pages, 2);
  deepEqual(found, all.map(sha256).sort());
});

type Index = { manifests: { digest: string; artifactType?: string; annotations?: Record<string, string> }[] };
const index = async (path: string) => (await (await layer.fetch('GET', path)).json()) as Index;
