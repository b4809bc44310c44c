import { deepEqual, equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { GatewayRig, sha256, sha512 } from '../gateway-rig.ts';
import { check } from '../rows.ts';

/** Pushes of a manifest with several tags, and changes with preconditions. */

const layer = await GatewayRig.start();
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
const digestOfTag = async (tag: string): Promise<string | null> =>
  (await layer.fetch('HEAD', manifest(tag))).headers.get('docker-content-digest');

for (const digestOf of [sha256, sha512]) {
  test(`a push by ${digestOf.name} digest sets the tags of its query, also one given twice`, async () => {
    const text = image(digestOf.name);
    const digest = digestOf(text);
    const tags = Array.from({ length: 50 }, (_, n) => `${digestOf.name}-${n}`);
    const query = [...tags, tags[0]].map((tag) => `tag=${tag}`).join('&');
    await check(layer, {
      ...put(`${digest}?${query}`, text),
      status: 201,
      expectedHeaders: { 'oci-tag': tags.join(', '), 'docker-content-digest': digest },
    });
    for (const tag of tags) equal(await digestOfTag(tag), digest);
    const moved = image(`${digestOf.name} again`);
    await check(layer, { ...put(`${digestOf(moved)}?tag=${tags[1]}`, moved), status: 201 });
    equal(await digestOfTag(tags[1]!), digestOf(moved));
    equal(await digestOfTag(tags[2]!), digest);
  });
}

test('a push by digest with an invalid tag, or with too many tags, changes nothing', async () => {
  const text = image('refused');
  const many = Array.from({ length: 101 }, (_, n) => `tag=t${n}`).join('&');
  const bad = put(`${sha256(text)}?tag=good&tag=-bad`, text);
  await check(layer, { ...bad, status: 400, code: 'MANIFEST_INVALID' });
  await check(layer, { ...put(`${sha256(text)}?${many}`, text), status: 400, code: 'UNSUPPORTED' });
  for (const reference of ['good', 't1', sha256(text)]) equal(await digestOfTag(reference), null);
});

test('a push by tag ignores other tags in its query', async () => {
  await check(layer, {
    ...put('one?tag=two', image('one')),
    status: 201,
    expectedHeaders: { 'oci-tag': null },
  });
  equal(await digestOfTag('two'), null);
});

test('If-None-Match creates a tag only if it is missing, and If-Match changes it only from a known digest', async () => {
  const [first, second, third] = ['first', 'second', 'third'].map(image) as [string, string, string];
  const etag = (text: string) => `"${sha256(text)}"`;
  const refused = { status: 412, code: 'DENIED' };
  await check(layer, { ...put('t', first, { 'if-match': '*' }), ...refused });
  await check(layer, { ...put('t', first, { 'if-none-match': '*' }), status: 201 });
  await check(layer, { ...put('t', second, { 'if-none-match': '*' }), ...refused });
  await check(layer, { ...put('t', second, { 'if-match': etag(third) }), ...refused });
  equal(await digestOfTag('t'), sha256(first));
  await check(layer, { ...put('t', second, { 'if-match': etag(first) }), status: 201 });
  await check(layer, { ...put('t', third, { 'if-match': etag(first) }), ...refused });
  equal(await digestOfTag('t'), sha256(second));
  await check(layer, { send: ['DELETE', manifest('t')], headers: { 'if-match': etag(first) }, ...refused });
  await check(layer, { send: ['DELETE', manifest('t')], headers: { 'if-match': etag(second) }, status: 202 });
  equal(await digestOfTag('t'), null);
});

test('a refused change does not reveal the current digest, as its client may not be allowed to read it', async () => {
  const existing = image('existing');
  await check(layer, { ...put('existing', existing), status: 201 });
  const init = { headers: { ...headers, 'if-none-match': '*' }, body: existing };
  const response = await layer.fetch('PUT', manifest('existing'), init);
  equal(response.status, 412);
  equal((await response.text()).includes(sha256(existing)), false);
});

test('of concurrent conditional changes of a tag, one succeeds at a time', async () => {
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
