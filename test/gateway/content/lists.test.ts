import { deepEqual, equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';
import { check, rows } from '../rows.ts';

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());

const tags = ['Zeta', '_x', 'a', 'a.b', 'a_b', 'b-1', 'v1', 'v10', 'v2'];
const repositories = ['a/b', 'b', 'a', 'a/a-a', 'z/y/x'];
for (const repository of repositories) {
  await layer.blob(repository, '{}');
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 },
    layers: [],
  });
  for (const tag of repository === 'a/b' ? tags : ['only']) {
    const headers = { 'content-type': mediaTypes.ociManifest };
    const { status } = await layer.fetch('PUT', `/v2/${repository}/manifests/${tag}`, { headers, body });
    equal(status, 201);
  }
}
const sorted = [...repositories].sort();
const json = (value: unknown) => JSON.stringify(value);
const list = (...names: string[]) => json({ name: 'a/b', tags: names });

rows(
  () => layer,
  [
    {
      send: ['GET', '/v2/a/b/tags/list'],
      status: 200,
      text: list(...tags),
      expectedHeaders: { link: null, 'content-type': /^application\/json/ },
    },
    {
      send: ['HEAD', '/v2/a/b/tags/list'],
      status: 200,
      expectedHeaders: { 'content-length': String(list(...tags).length) },
    },
    {
      send: ['GET', '/v2/a/b/tags/list?n=2'],
      status: 200,
      text: list('Zeta', '_x'),
      expectedHeaders: { link: '</v2/a/b/tags/list?n=2&last=_x>; rel="next"' },
    },
    {
      send: ['GET', '/v2/a/b/tags/list?n=9'],
      status: 200,
      text: list(...tags),
      expectedHeaders: { link: null },
    },
    { send: ['GET', `/v2/a/b/tags/list?n=${'9'.repeat(30)}`], status: 200, text: list(...tags) },
    { send: ['GET', '/v2/a/b/tags/list?n=100000'], status: 200, text: list(...tags) },
    {
      send: ['GET', '/v2/a/b/tags/list?last=v10'],
      status: 200,
      text: list('v2'),
      expectedHeaders: { link: null },
    },
    { send: ['GET', '/v2/a/b/tags/list?last=v2'], status: 200, text: list() },
    { send: ['GET', '/v2/a/b/tags/list?last=b&n=1'], status: 200, text: list('b-1') },
    { send: ['GET', '/v2/a/b/tags/list?last=%F0%9F%90%88'], status: 200, text: list() },
    { send: ['GET', '/v2/a/b/tags/list?n=0'], status: 200, text: list(), expectedHeaders: { link: null } },
    { send: ['GET', '/v2/a/b/tags/list?n=-1'], status: 400, code: 'UNSUPPORTED' },
    { send: ['GET', '/v2/a/b/tags/list?n=x'], status: 400, code: 'UNSUPPORTED' },
    { send: ['GET', '/v2/none/tags/list'], status: 404, code: 'NAME_UNKNOWN' },
    { send: ['GET', '/v2/none/tags/list?n=0'], status: 404, code: 'NAME_UNKNOWN' },
    {
      send: ['GET', '/v2/_catalog'],
      status: 200,
      text: json({ repositories: sorted }),
      expectedHeaders: { link: null },
    },
    {
      send: ['GET', '/v2/_catalog?n=2'],
      status: 200,
      text: json({ repositories: sorted.slice(0, 2) }),
      expectedHeaders: { link: `</v2/_catalog?n=2&last=${encodeURIComponent(sorted[1]!)}>; rel="next"` },
    },
    {
      send: ['GET', '/v2/_catalog?n=0'],
      status: 200,
      text: json({ repositories: [] }),
      expectedHeaders: { link: null },
    },
    { send: ['GET', '/v2/_catalog?n=1.5'], status: 400 },
  ],
);

for (const path of ['/v2/a/b/tags/list', '/v2/_catalog']) {
  test(`the pages of ${path} have all entries of the list, in order`, async () => {
    const found: string[] = [];
    let next: string | undefined = `${path}?n=2`;
    while (next) {
      const response = await check(layer, { send: ['GET', next], status: 200 });
      const again = (await (await layer.fetch('GET', next)).json()) as Record<string, string[]>;
      found.push(...(again.tags ?? again.repositories ?? []));
      next = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1];
    }
    deepEqual(found, path.includes('tags') ? tags : sorted);
  });
}
