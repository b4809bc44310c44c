import assert from 'node:assert/strict';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import {
  type Reply,
  refused,
  type ScriptedRegistry,
  type ScriptedRequest,
} from '../../../support/registry/scripted/scripted-registry.ts';
import { type About, type Named, type Row, serves } from '../parent-rig.ts';

/** Forms of answers of further registries, buckets and caches. */

const ALL = ['ok', 't', 'layer', 'child', 'index'];
const MISSING = { mediaType: mediaTypes.ociManifest, digest: `sha256:${'a'.repeat(64)}`, size: 500 };

/** Two images, and an index. The layer of `t` has several pieces. */
function content({ content: stored }: ScriptedRegistry): Named {
  const ok = stored.image('app', 'ok');
  const t = stored.image('app', 't', { layers: [`${ok.digest} `.repeat(20_000)] });
  const child = stored.image('app', undefined, { layers: [`child of ${ok.digest}`] });
  const index = stored.index('app', 'index', [{ ...child, platform: { os: 'linux', architecture: 'arm' } }]);
  return { ok, t, layer: t.layers[0] as Descriptor, child, index };
}

const isBlob = ({ path }: ScriptedRequest) => path.includes('/blobs/');
const isManifest = ({ path }: ScriptedRequest) => path.includes('/manifests/');
const isTags = ({ path }: ScriptedRequest) => path.endsWith('/tags/list');
const json = (body: object): Reply => ({ status: 200, body: JSON.stringify(body) });
const namesOf = (reply: Reply) => (JSON.parse(String(reply.body)) as { tags: string[] }).tags;

/** Good answers become other ones, and all of the content comes. */
const changed = (
  name: string,
  matches: (request: ScriptedRequest) => boolean,
  change: (reply: Reply, request: ScriptedRequest, about: About) => Reply | undefined,
  row: Partial<Row> = {},
): Row => ({
  name,
  content,
  quirk: (request, about) => {
    const reply = about.regular();
    return matches(request) && reply.status < 300 ? change(reply, request, about) : undefined;
  },
  has: ALL,
  ...row,
});

/** The list of tags has this form. Its tag is none that the layer knows: it would be asked for by its name. */
const list = (name: string, form: (tags: string[]) => object): Row =>
  changed(`a list of tags ${name}`, isTags, (reply) => json(form(namesOf(reply))), {
    content: ({ content: stored }) => ({ only: stored.image('app', name.replace(/\W+/g, '-')) }),
    has: ['only'],
  });

/** One tag is answered in an odd way; the others come, and the tag is named. */
const oddTag = (name: string, answer: Reply, reason: RegExp): Row => ({
  name: `one tag is answered with ${name}`,
  content: (registry) => {
    registry.content.image('app', 'odd');
    return content(registry);
  },
  quirk: ({ path, method }) =>
    path.endsWith('/manifests/odd') ? (method === 'HEAD' ? refused(405, 'UNSUPPORTED') : answer) : undefined,
  check: async ({ layer, named, pass, link }) => {
    for (const one of ALL) assert.ok(await serves(layer, named[one]), one);
    assert.deepEqual([pass.failed, pass.failures[0]?.tag, link.state], [1, 'odd', 'Unhealthy']);
    assert.match(link.detail ?? '', reason);
  },
});

/** As a bucket answers for what it does not have, if its keys may not be listed. */
const ACCESS_DENIED: Reply = {
  status: 403,
  headers: { 'content-type': 'application/xml' },
  body: '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
};

const noRange = (status: number): Row => ({
  name: `requests with a range are answered with ${status}`,
  content,
  quirk: (request, { registry }) =>
    !isBlob(request) || request.method !== 'GET'
      ? undefined
      : request.headers.range
        ? refused(status, 'UNSUPPORTED')
        : { status: 200, body: registry.answerAt(request.path).body ?? '' },
  has: ALL,
});

export const rows: Row[] = [
  list('with further fields', (tags) => ({
    child: [],
    manifest: { [MISSING.digest]: { tag: tags } },
    name: 'app',
    tags,
  })),
  list('with null and doubled names', (tags) => ({ name: 'app', tags: [null, ...tags, ...tags, null] })),
  list('as objects with names', (tags) => ({ name: 'app', tags: tags.map((name) => ({ name })) })),
  {
    name: 'a list of tags whose entries are no names',
    content,
    quirk: (request, { regular }) =>
      isTags(request) ? json({ name: 'app', tags: namesOf(regular()).map((tag) => ({ tag })) }) : undefined,
    check: ({ pass, link }) => {
      assert.match(pass.failures[0]?.reason ?? '', /a list whose \/tags are no names/);
      assert.equal(link.state, 'Unhealthy');
    },
  },
  {
    name: 'manifests that are redirected to another path of the host',
    content,
    quirk: (request, { registry }) => {
      const { path } = request;
      if (path.startsWith('/content/')) return registry.answerAt(path.replace('/content/', '/v2/'));
      const location = `${path.replace('/v2/', '/content/')}?token=x`;
      return isManifest(request) ? { status: 302, headers: { location } } : undefined;
    },
    has: ALL,
  },
  changed(
    'all answers are chunked',
    () => true,
    (reply) => ({
      ...reply,
      headers: { ...reply.headers, 'transfer-encoding': 'chunked' },
    }),
  ),
  changed('parts of blobs with 200 and Content-Range', isBlob, (reply) => ({ ...reply, status: 200 })),
  changed('larger parts of blobs than asked for', isBlob, (_, request, { registry }) => {
    const bytes = Buffer.from(registry.answerAt(request.path).body ?? '');
    const [, first = '0', last = '0'] = /(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
    const end = Math.min(bytes.length - 1, Number(last) + 1_000);
    return {
      status: 206,
      headers: { 'content-range': `bytes ${first}-${end}/${bytes.length}` },
      body: bytes.subarray(Number(first), end + 1),
    };
  }),
  changed('smaller parts of blobs than asked for', isBlob, (_, request, { registry }) => {
    const bytes = Buffer.from(registry.answerAt(request.path).body ?? '');
    const [, first = '0', last = '0'] = /(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
    const end = Math.min(bytes.length - 1, Number(last), Number(first) + 99_999);
    return {
      status: 206,
      headers: { 'content-range': `bytes ${first}-${end}/${bytes.length}` },
      body: bytes.subarray(Number(first), end + 1),
    };
  }),
  ...[400, 405, 416, 501].map(noRange),
  ...[404, 403].map(
    (status): Row => ({
      name: `no answer of a registry at /v2/: ${status}`,
      content,
      quirk: ({ path }) => (path === '/v2/' ? refused(status, 'NOT_FOUND') : undefined),
      has: ALL,
    }),
  ),
  {
    name: 'a host that has nothing below /v2/',
    content,
    quirk: () => ({ status: 404, headers: { 'content-type': 'text/html' }, body: '<h1>Not Found</h1>' }),
    check: ({ pass, link }) => {
      assert.equal(pass.failed, 1);
      assert.equal(link.state, 'Unhealthy');
      assert.match(link.detail ?? '', /GET \/v2\/: the parent answered 404/);
    },
  },
  {
    name: 'a bucket that answers 403 for what it does not have',
    content: (registry) => ({
      ...content(registry),
      sparse: registry.content.index('app', 'sparse', [
        { ...registry.content.image('app', undefined), platform: { os: 'linux', architecture: 'arm' } },
        { ...MISSING, platform: { os: 'linux', architecture: 'mips' } },
      ]),
    }),
    quirk: (request, { regular }) =>
      request.path.includes('/referrers/') || regular().status === 404 ? ACCESS_DENIED : undefined,
    passes: 3,
    has: [...ALL, 'sparse'],
    reported: /left out: .*AccessDenied|left out: 2/,
  },
  oddTag(
    'an error as 200',
    json({ errors: [{ code: 'MANIFEST_UNKNOWN' }] }),
    /app:odd: .*neither an image manifest/,
  ),
  oddTag('nothing', { status: 200, body: '' }, /app:odd: the manifest is not JSON/),
  oddTag('null', { status: 200, body: 'null' }, /app:odd: the manifest is not an object/),
  oddTag('a list', { status: 200, body: '[]' }, /app:odd: the manifest is not an object/),
  {
    name: 'entries of an index with wrong sizes and without media types',
    content: ({ content: stored }) => {
      const child = stored.image('app', undefined);
      const manifests = [{ digest: child.digest, size: 1, platform: { os: 'linux', architecture: 'arm' } }];
      const document = { schemaVersion: 2, manifests };
      return { child, index: stored.manifest('app', 't', mediaTypes.ociIndex, document) };
    },
    has: ['child', 'index'],
  },
  {
    name: 'layers and a configuration without media types',
    content: ({ content: stored }) => {
      const t = stored.image('app', 't', {
        edit: ({ config, layers }) => ({
          config: { digest: config.digest, size: config.size },
          layers: layers.map(({ digest, size }) => ({ digest, size })),
        }),
      });
      return { t, layer: t.layers[0] as Descriptor, config: t.config };
    },
    has: ['t', 'layer', 'config'],
  },
];
