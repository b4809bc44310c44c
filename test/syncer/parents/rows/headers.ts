import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import {
  type Reply,
  refused,
  type ScriptedRegistry,
  type ScriptedRequest,
} from '../../../support/registry/scripted/scripted-registry.ts';
import { type About, type Named, type Row, serves } from '../parent-rig.ts';

/** What headers and fields say is a hint: the bytes and their digest decide. */

/** An image, an index and their content. */
function content({ content }: ScriptedRegistry): Named {
  const image = content.image('app', 'ok');
  const child = content.image('app', undefined, { layers: [`child ${image.digest}`] });
  const index = content.index('app', 'index', [{ ...child, platform: { os: 'linux', architecture: 'arm' } }]);
  return { image, child, index, layer: image.layers[0] as Descriptor, config: image.config };
}

/** Content that a row takes from its parent, and gives back. */
const spare = new Map<string, Buffer>();
const ALL = ['image', 'child', 'index', 'layer', 'config'];
const isManifest = ({ path }: ScriptedRequest) => path.includes('/manifests/');

/** Changes the headers of all answers with manifests. */
const headers = (name: string, change: (regular: Reply) => Reply): Row => ({
  name,
  content,
  quirk: (request, { regular }) => (isManifest(request) ? change(regular()) : undefined),
  has: ALL,
});

const withHeader = (name: string, header: string, value: string | undefined): Row =>
  headers(name, (regular) => {
    const { [header]: _, ...others } = regular.headers ?? {};
    return { ...regular, headers: value === undefined ? others : { ...others, [header]: value } };
  });

/** The manifest of the tag `ok` is not as a client would push it. */
const odd = (name: string, edit: (document: Record<string, unknown>) => object): Row => ({
  name,
  content: (registry) => {
    const image = registry.content.image('app', 'ok', {
      edit: (document) => edit(document as unknown as Record<string, unknown>),
    });
    return { image, layer: image.layers[0] as Descriptor, config: image.config };
  },
  has: ['image', 'layer', 'config'],
});

const layersOf = (document: Record<string, unknown>) => document.layers as Descriptor[];
const resized = (size: unknown) => (document: Record<string, unknown>) => ({
  ...document,
  layers: layersOf(document).map((layer) => ({ ...layer, size })),
});

const answersHead = (reply: Reply) => (request: ScriptedRequest) =>
  isManifest(request) && request.method === 'HEAD' ? reply : undefined;

/** Blobs as a static file server sends them: without ranges, digests and types. */
function asFiles(
  { path, method, headers: _ }: ScriptedRequest,
  { named, registry }: About,
): Reply | undefined {
  const reference = path.slice(path.lastIndexOf('/') + 1);
  const { manifests, blobs, tags } = registry.content.of('app');
  const bytes = manifests.get(tags.get(reference) ?? '')?.bytes ?? blobs.get(reference);
  if (!path.startsWith('/v2/app/') || path.endsWith('/tags/list')) return undefined;
  const found = bytes ?? (reference === named.child?.digest ? manifests.get(reference)?.bytes : undefined);
  if (!found) return { status: 404, headers: { 'content-type': 'text/html' }, body: '<h1>Not Found</h1>' };
  return {
    status: method === 'PUT' ? 405 : 200,
    headers: { 'content-type': 'application/octet-stream' },
    body: found,
  };
}

/** The image `app:ok`, which the registry has under a digest of sha512 only. */
function imageUnderSha512(stored: ScriptedRegistry['content']) {
  const { digest, ...image } = stored.image('app', 'ok');
  const bytes = stored.of('app').manifests.get(digest)?.bytes ?? Buffer.alloc(0);
  const sha512 = `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
  stored.of('app').manifests.delete(digest);
  stored.of('app').manifests.set(sha512, { mediaType: mediaTypes.ociManifest, bytes });
  stored.of('app').tags.set('ok', sha512);
  return { image, digest, sha512 };
}

export const rows: Row[] = [
  ...['application/json', 'application/octet-stream', 'text/html', 'text/plain', 'binary'].map((type) =>
    withHeader(`manifests as ${type}`, 'content-type', type),
  ),
  withHeader('manifests without a media type', 'content-type', undefined),
  withHeader(
    'manifests with the media type of an index',
    'content-type',
    mediaTypes.ociIndex.replace('oci', 'OCI'),
  ),
  headers('manifests whose media type has other case, and a charset', (regular) => ({
    ...regular,
    headers: {
      ...regular.headers,
      'content-type': `${String(regular.headers?.['content-type']).replace('oci', 'OCI').replace('json', 'JSON')}; Charset=utf-8`,
    },
  })),
  withHeader('manifests without a digest header', 'docker-content-digest', undefined),
  headers('manifests with a digest header of sha512', (regular) => ({
    ...regular,
    headers: {
      ...regular.headers,
      'docker-content-digest': `sha512:${createHash('sha512')
        .update(regular.body ?? '')
        .digest('hex')}`,
    },
  })),
  {
    name: 'a manifest under a digest of sha512 stays under it',
    content: ({ content: stored }) => {
      const { image, digest, sha512 } = imageUnderSha512(stored);
      return { image: { ...image, digest: sha512 }, other: { ...image, digest } };
    },
    passes: 2,
    has: ['image'],
    lacks: ['other'],
  },
  {
    name: 'a manifest under a digest of sha512, with a header of sha256',
    content: ({ content: stored }) => {
      const { image, digest } = imageUnderSha512(stored);
      return { image: { ...image, digest } };
    },
    quirk: (request, { regular, named }) => {
      const reply = regular();
      if (!isManifest(request) || reply.status >= 300) return undefined;
      const digest = named.image?.digest ?? '';
      return { ...reply, headers: { ...reply.headers, 'docker-content-digest': digest } };
    },
    passes: 2,
    has: ['image'],
  },
  withHeader('manifests with a digest header that is none', 'docker-content-digest', '"abc"'),
  headers('manifests that a proxy compresses', (regular) => ({
    ...regular,
    headers: { ...regular.headers, 'content-encoding': 'gzip' },
    body: gzipSync(regular.body ?? ''),
  })),
  withHeader('manifests that are not compressed, as a header says', 'content-encoding', 'gzip'),
  ...[405, 501, 403, 404, 400].map(
    (status): Row => ({
      name: `HEAD of manifests answered with ${status}`,
      content,
      quirk: answersHead(refused(status, 'UNSUPPORTED')),
      has: ALL,
    }),
  ),
  {
    name: 'manifests and lists that another path of the host has',
    content,
    quirk: ({ path, url }, { registry }) => {
      const [, rest] = /^\/v2\/app\/((?:manifests|tags|referrers)\/.*)$/.exec(path) ?? [];
      if (rest) return { status: 307, headers: { location: `/mirror/v2/app/${rest}${url.search}` } };
      return path.startsWith('/mirror/') ? registry.answerAt(path.slice('/mirror'.length)) : undefined;
    },
    has: ALL,
  },
  {
    name: 'HEAD with the digest of another manifest',
    content,
    quirk: (request, { regular, named }) => {
      if (!isManifest(request) || request.method !== 'HEAD' || !request.path.endsWith('/ok'))
        return undefined;
      const digest = `sha256:${'c'.repeat(64)}`;
      assert.ok(named.image);
      return { ...regular(), headers: { ...regular().headers, 'docker-content-digest': digest } };
    },
    passes: 2,
    has: ALL,
  },
  { name: 'a static file server, with manifests by tag only', content, quirk: asFiles, has: ALL },
  ...[0, -1, 1.5, null, '16', 'x', 1e30].map((size) =>
    odd(`a layer of size ${JSON.stringify(size)} in its manifest`, resized(size)),
  ),
  ...[1, -1, 512].map((difference) =>
    odd(`a layer whose size in the manifest is wrong by ${difference}`, (document) => {
      const [layer] = layersOf(document);
      return resized((layer?.size ?? 0) + difference)(document);
    }),
  ),
  {
    ...odd('a layer whose size in the manifest is wrong, at a parent without ranges', (document) => {
      const [layer] = layersOf(document);
      return resized((layer?.size ?? 0) + 512)(document);
    }),
    quirk: ({ path, method }, { registry }) => {
      if (method !== 'GET' || !path.includes('/blobs/')) return undefined;
      const digest = path.slice(path.lastIndexOf('/') + 1);
      const body = registry.content.of('app').blobs.get(digest);
      return body
        ? { status: 200, headers: { 'docker-content-digest': digest }, body }
        : refused(404, 'BLOB_UNKNOWN');
    },
  },
  odd('annotations that are no texts', (document) => ({
    ...document,
    annotations: { a: 1, b: null, c: { d: [] } },
    layers: layersOf(document).map((layer) => ({ ...layer, annotations: 'x', urls: {}, platform: 7 })),
  })),
  odd('null for each field that may be absent', (document) => ({
    ...document,
    mediaType: null,
    artifactType: null,
    subject: null,
    annotations: null,
    manifests: null,
  })),
  odd('unknown fields', (document) => ({ ...document, history: [{ v: 1 }], tag: 'x', schemaVersion: 2 })),
  odd('a media type in other case', (document) => ({
    ...document,
    mediaType: mediaTypes.ociManifest.toUpperCase(),
  })),
  odd('the media type of Docker in a manifest that is sent as OCI', (document) => ({
    ...document,
    mediaType: mediaTypes.dockerManifest,
  })),
  odd('a layer that is listed twice', (document) => ({
    ...document,
    layers: [...layersOf(document), ...layersOf(document)],
  })),
  {
    name: 'an empty layer',
    content: (registry) => {
      const image = registry.content.image('app', 'ok', { layers: [''] });
      return { image, layer: image.layers[0] as Descriptor, config: image.config };
    },
    has: ['image', 'layer', 'config'],
  },
  odd('no schema version', ({ schemaVersion: _, ...document }) => document),
  {
    name: 'a foreign layer that the parent has',
    content: ({ content: stored }) => {
      const image = stored.image('app', 'ok', {
        mediaType: mediaTypes.dockerManifest,
        edit: (document) => ({
          ...document,
          layers: document.layers.map((layer) => ({
            ...layer,
            mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
            urls: ['http://unreachable.invalid/layer'],
          })),
        }),
      });
      return { image, layer: image.layers[0] as Descriptor, config: image.config };
    },
    has: ['image', 'layer', 'config'],
  },
  {
    name: 'a foreign layer that the parent does not have',
    content: ({ content: stored }) => {
      const image = stored.image('app', 'ok', {
        edit: (document) => ({
          ...document,
          layers: document.layers.map((layer) => ({
            ...layer,
            mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
          })),
        }),
      });
      const [layer] = image.layers as [Descriptor];
      spare.set(layer.digest, stored.of('app').blobs.get(layer.digest) as Buffer);
      stored.of('app').blobs.delete(layer.digest);
      return { image, layer, config: image.config };
    },
    has: ['image', 'config'],
    lacks: ['layer'],
    check: async ({ layer, registry, named }) => {
      const bytes = spare.get(named.layer?.digest ?? '');
      assert.ok(bytes);
      registry.content.of('app').blobs.set(named.layer?.digest ?? '', bytes);
      await layer.pass({ full: true });
      assert.ok(await serves(layer, named.layer), 'a full pass brings the layer that the parent has now');
    },
  },
  {
    name: 'a tag in schema 1, beside an ordinary one',
    content: (registry) => {
      const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
      registry.content.manifest('app', 'old', type, { schemaVersion: 1, fsLayers: [] });
      return content(registry);
    },
    check: ({ pass, link }) => {
      assert.equal(pass.failed, 1);
      assert.equal(link.state, 'Unhealthy');
      assert.match(link.detail ?? '', /app:old: schema 1 is not supported: push the image again/);
    },
  },
  {
    name: 'a manifest of more than 4 MiB, beside an ordinary one',
    content: (registry) => {
      const annotations = { large: 'x'.repeat(4.2 * 1024 * 1024) };
      registry.content.image('app', 'large', { edit: (document) => ({ ...document, annotations }) });
      return content(registry);
    },
    check: ({ pass, link }) => {
      assert.equal(pass.failed, 1);
      assert.match(link.detail ?? '', /app:large: .* larger than 4194304 bytes/);
    },
  },
];
