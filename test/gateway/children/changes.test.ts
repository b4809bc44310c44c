import { deepEqual, equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { sha256, sha512, TestLayer } from '../layer.ts';
import { check } from '../rows.ts';

/** Pushes of a manifest that name several tags, and changes that depend on what is there. */

const layer = await TestLayer.start();
after(() => layer[Symbol.asyncDispose]());

await layer.blob('app', '{}');
const headers = { 'content-type': mediaTypes.ociManifest };
function image(name: string): string {
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 };
  return JSON.stringify({ schemaVersion: 2, config, layers: [], annotations: { name } });
}
const manifest = (reference: string) => `/v2/app/manifests/${reference}`;
const put = (reference: string, body: string, more: Record<string, string> = {}) => ({
  send: ['PUT', manifest(reference)] as [string, string],
  headers: { ...headers, ...more },
  body,
});
const points = async (tag: string): Promise<string | null> =>
  (await layer.fetch('HEAD', manifest(tag))).headers.get('docker-content-digest');

for (const digestOf of [sha256, sha512]) {
  test(`a push by ${digestOf.name} names its tags, twice too, and they point to it`, async () => {
    const text = image(digestOf.name);
    const digest = digestOf(text);
    const tags = Array.from({ length: 50 }, (_, n) => `${digestOf.name}-${n}`);
    const query = [...tags, tags[0]].map((tag) => `tag=${tag}`).join('&');
    await check(layer, {
      ...put(`${digest}?${query}`, text),
      status: 201,
      want: { 'oci-tag': tags.join(', '), 'docker-content-digest': digest },
    });
    for (const tag of tags) equal(await points(tag), digest);
    const moved = image(`${digestOf.name} again`);
    await check(layer, { ...put(`${digestOf(moved)}?tag=${tags[1]}`, moved), status: 201 });
    equal(await points(tags[1]!), digestOf(moved));
    equal(await points(tags[2]!), digest);
  });
}

test('a push by digest with a tag that is none, or with too many, changes nothing', async () => {
  const text = image('refused');
  const many = Array.from({ length: 101 }, (_, n) => `tag=t${n}`).join('&');
  const bad = put(`${sha256(text)}?tag=good&tag=-bad`, text);
  await check(layer, { ...bad, status: 400, code: 'MANIFEST_INVALID' });
  await check(layer, { ...put(`${sha256(text)}?${many}`, text), status: 400, code: 'UNSUPPORTED' });
  for (const reference of ['good', 't1', sha256(text)]) equal(await points(reference), null);
});

test('a push by tag takes no others', async () => {
  await check(layer, { ...put('one?tag=two', image('one')), status: 201, want: { 'oci-tag': null } });
  equal(await points('two'), null);
});

test('a tag is made only where there is none, and moved only from what the client knows', async () => {
  const [first, second, third] = ['first', 'second', 'third'].map(image) as [string, string, string];
  const etag = (text: string) => `"${sha256(text)}"`;
  const refused = { status: 412, code: 'DENIED' };
  await check(layer, { ...put('t', first, { 'if-match': '*' }), ...refused });
  await check(layer, { ...put('t', first, { 'if-none-match': '*' }), status: 201 });
  await check(layer, { ...put('t', second, { 'if-none-match': '*' }), ...refused });
  await check(layer, { ...put('t', second, { 'if-match': etag(third) }), ...refused });
  equal(await points('t'), sha256(first));
  await check(layer, { ...put('t', second, { 'if-match': etag(first) }), status: 201 });
  await check(layer, { ...put('t', third, { 'if-match': etag(first) }), ...refused });
  equal(await points('t'), sha256(second));
  await check(layer, { send: ['DELETE', manifest('t')], headers: { 'if-match': etag(first) }, ...refused });
  await check(layer, { send: ['DELETE', manifest('t')], headers: { 'if-match': etag(second) }, status: 202 });
  equal(await points('t'), null);
});

test('a refused change does not tell what is there: its client may not be one that may read', async () => {
  const known = image('known');
  await check(layer, { ...put('told', known), status: 201 });
  const init = { headers: { ...headers, 'if-none-match': '*' }, body: known };
  const response = await layer.fetch('PUT', manifest('told'), init);
  equal(response.status, 412);
  equal((await response.text()).includes(sha256(known)), false);
});

test('of clients that change the same tag from what they know, one succeeds at a time', async () => {
  const base = image('0');
  await check(layer, { ...put('counter', base), status: 201 });
  let tries = 0;
  const lists = await Promise.all(
    Array.from({ length: 6 }, async (_, client) => {
      for (;;) {
        tries += 1;
        equal(tries < 500, true);
        const seen = await layer.fetch('GET', manifest('counter'));
        const { annotations } = (await seen.json()) as { annotations: { name: string } };
        const next = image(`${annotations.name},${client}`);
        const condition = { ...headers, 'if-match': seen.headers.get('etag')! };
        const { status } = await layer.fetch('PUT', manifest('counter'), { headers: condition, body: next });
        if (status === 201) return client;
        equal(status, 412);
      }
    }),
  );
  const last = (await (await layer.fetch('GET', manifest('counter'))).json()) as {
    annotations: { name: string };
  };
  const [, ...entries] = last.annotations.name.split(',').map(Number);
  deepEqual(entries.sort(), lists.sort());
});
