import assert from 'node:assert/strict';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import { refused, type ScriptedRegistry } from '../../../support/registry/scripted/scripted-registry.ts';
import type { Named, Row } from '../parent-rig.ts';

/** Indexes: no entry keeps back the rest, and an entry may be a blob. */

const MISSING = { mediaType: mediaTypes.ociManifest, digest: `sha256:${'a'.repeat(64)}`, size: 500 };
const on = (architecture: string, descriptor: Descriptor) => ({
  ...descriptor,
  platform: { os: 'linux', architecture },
});

/** An ordinary image, and an index with one complete platform and this entry. */
const withEntry = (registry: ScriptedRegistry, entry: Descriptor & { platform?: object }): Named => {
  const { content } = registry;
  const ok = content.image('app', 'ok');
  const amd64 = content.image('app', undefined, { layers: [`amd64 ${ok.digest}`] });
  return { ok, amd64, entry, index: content.index('app', 't', [on('amd64', amd64), entry]) };
};

/** The parent does not provide the index's second platform, in this way. */
const lost = (
  name: string,
  spoil: (registry: ScriptedRegistry, s390x: ReturnType<ScriptedRegistry['content']['image']>) => void,
  reported: RegExp,
): Row => ({
  name,
  content: (registry) => {
    const s390x = registry.content.image('app', undefined, { layers: ['s390x'] });
    const named = withEntry(registry, on('s390x', s390x));
    spoil(registry, s390x);
    return named;
  },
  has: ['ok', 'amd64', 'index'],
  lacks: ['entry'],
  reported,
});

const manifestsOf = ({ content }: ScriptedRegistry) => content.of('app').manifests;

export const rows: Row[] = [
  lost(
    'a platform whose manifest was deleted',
    (registry, { digest }) => manifestsOf(registry).delete(digest),
    /app:t: the parent has no manifest .*push the image again at the parent, or restrict platforms/,
  ),
  lost(
    'a platform whose layer was deleted',
    ({ content }, { layers }) => content.of('app').blobs.delete(layers[0]?.digest ?? ''),
    /app:t: the parent has no blob /,
  ),
  lost(
    'a platform whose configuration was deleted',
    ({ content }, { config }) => content.of('app').blobs.delete(config.digest),
    /app:t: the parent has no blob /,
  ),
  lost(
    'a platform whose manifest has other bytes',
    (registry, { digest }) =>
      manifestsOf(registry).set(digest, { mediaType: mediaTypes.ociManifest, bytes: Buffer.from('{}') }),
    /app:t: the parent sent sha256:/,
  ),
  {
    ...lost('a platform that the parent refuses', () => {}, /app:t: .*409/),
    quirk: ({ path, method }, { named }) =>
      method === 'GET' && path.endsWith(`/manifests/${named.entry?.digest}`)
        ? refused(409, 'LOCKED')
        : undefined,
  },
  {
    name: 'a platform that one repository lacks comes in another one',
    fields: { repositories: [{ name: 'app', priority: 9 }, 'copy'] },
    content: (registry) => {
      const arm = registry.content.image('copy', undefined, { layers: ['arm'] });
      const named = withEntry(registry, on('arm', arm));
      const [app, copy] = ['app', 'copy'].map((name) => registry.content.of(name));
      for (const [digest, manifest] of app?.manifests ?? []) copy?.manifests.set(digest, manifest);
      for (const [digest, blob] of app?.blobs ?? []) copy?.blobs.set(digest, blob);
      copy?.tags.set('t', named.index?.digest ?? '');
      return named;
    },
    has: ['ok', 'amd64', 'index'],
    lacks: ['entry'],
    reported: /^2 of 3 images are complete; .*app:t: the parent has no manifest /,
    check: async ({ layer, named }) => {
      const answer = await fetch(`${layer.layer.url}/v2/copy/manifests/${named.entry?.digest}`);
      assert.equal(answer.status, 200);
    },
  },
  {
    name: 'a platform in schema 1',
    content: (registry) => {
      const mediaType = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
      const entry = registry.content.manifest('app', undefined, mediaType, { schemaVersion: 1 });
      return withEntry(registry, on('arm', entry));
    },
    has: ['ok', 'amd64', 'index'],
    lacks: ['entry'],
    reported: /app:t: schema 1 is not supported: push the image again[^:]*, or exclude the tag\)$/,
  },
  {
    name: 'a missing platform that two entries name is counted once, and a deleted tag not at all',
    content: (registry) => {
      const named = withEntry(registry, on('mips', MISSING));
      const { digest } = registry.content.index('app', 'twice', [
        on('amd64', named.amd64 as Descriptor),
        on('mips', MISSING),
        on('arm', MISSING),
      ]);
      registry.content.of('app').tags.set('t', digest);
      registry.content.of('app').tags.set('old', named.ok?.digest ?? '');
      registry.content.of('app').tags.delete('twice');
      return named;
    },
    has: ['ok', 'amd64'],
    reported: /^2 of 3 images are complete; left out: 1 image of an index /,
    check: async ({ registry, layer }) => {
      registry.content.of('app').tags.delete('old');
      const { leftOut } = await layer.pass();
      assert.deepEqual([leftOut?.images, leftOut?.of, leftOut?.children], [1, 2, 1]);
    },
  },
  {
    name: 'a nested index that lost one of its platforms',
    content: (registry) => {
      const arm = registry.content.image('app', undefined, { layers: ['arm'] });
      const nested = registry.content.index('app', undefined, [on('arm', arm), on('mips', MISSING)]);
      return { ...withEntry(registry, nested), arm };
    },
    has: ['ok', 'amd64', 'index', 'entry', 'arm'],
    reported: /app:t: the parent has no manifest sha256:aaaa/,
  },
  {
    name: 'a platform that the parent has again comes with a full pass',
    content: (registry) =>
      withEntry(registry, on('arm', registry.content.image('app', undefined, { layers: ['arm'] }))),
    quirk: ({ path, method, earlier }, { named }) =>
      method === 'GET' && path.endsWith(`/manifests/${named.entry?.digest}`) && earlier < 1
        ? refused(404, 'MANIFEST_UNKNOWN')
        : undefined,
    check: async ({ layer }) => {
      const { ok, leftOut } = await layer.pass({ full: true });
      assert.deepEqual([ok, leftOut], [true, undefined]);
      const link = await layer.link();
      assert.deepEqual([link?.state, link?.detail, link?.leftOut], ['Online', undefined, undefined]);
    },
  },
  {
    name: 'an index of which nothing is left fails, alone',
    content: (registry) => {
      const ok = registry.content.image('app', 'ok');
      return { ok, index: registry.content.index('app', 't', [on('arm', MISSING)]) };
    },
    lacks: ['index'],
    check: ({ pass, link }) => {
      assert.deepEqual([pass.failed, pass.taken], [1, 0]);
      assert.equal(link.state, 'Unhealthy');
      assert.match(link.detail ?? '', /app:t: the parent has no manifest sha256:aaaa/);
    },
  },
  {
    name: 'a platform that fails for now keeps its index, and the tag stays',
    content: (registry) =>
      withEntry(registry, on('arm', registry.content.image('app', undefined, { layers: ['arm'] }))),
    quirk: ({ path, method, earlier }, { named }) =>
      method === 'GET' && path.endsWith(`/manifests/${named.entry?.digest}`) && earlier < 1
        ? refused(401, 'UNAUTHORIZED')
        : undefined,
    has: ['ok', 'amd64', 'index', 'entry'],
  },
  {
    name: 'a platform that never stops failing is left out',
    content: (registry) =>
      withEntry(registry, on('arm', registry.content.image('app', undefined, { layers: ['arm'] }))),
    quirk: ({ path, method }, { named }) =>
      method === 'GET' && path.endsWith(`/manifests/${named.entry?.digest}`)
        ? refused(403, 'DENIED')
        : undefined,
    passes: 3,
    has: ['ok', 'amd64', 'index'],
    lacks: ['entry'],
    reported: /app:t: .*403/,
  },
  {
    name: 'a cache of BuildKit: an index of blobs',
    content: (registry) => {
      const layer = registry.content.blob('app', 'a cached layer');
      const config = registry.content.blob('app', '{"layers":[]}', 'application/vnd.buildkit.cacheconfig.v0');
      const manifests = [layer, config];
      return { layer, config, index: registry.content.index('app', 'cache', manifests) };
    },
    has: ['layer', 'config', 'index'],
  },
  {
    name: 'a cache of BuildKit in a Docker list, of which a blob was deleted, comes with a full pass once it is back',
    content: (registry) => {
      const layer = registry.content.blob(
        'app',
        'another layer',
        'application/vnd.docker.image.rootfs.diff.tar.gzip',
      );
      const config = registry.content.blob(
        'app',
        '{"layers":[1]}',
        'application/vnd.buildkit.cacheconfig.v0',
      );
      const index = registry.content.index('app', 'cache', [layer, config], mediaTypes.dockerList);
      registry.content.of('app').blobs.delete(layer.digest);
      return { layer, config, index };
    },
    has: ['config', 'index'],
    lacks: ['layer'],
    reported: /app:cache: the parent has no blob/,
    check: async ({ layer, registry, named }) => {
      registry.content.blob('app', 'another layer');
      const { ok } = await layer.pass({ full: true });
      assert.equal(ok, true);
      const answer = await fetch(`${layer.layer.url}/v2/app/blobs/${named.layer?.digest}`);
      assert.equal(await answer.text(), 'another layer');
    },
  },
  ...[null, 'x', { mediaType: mediaTypes.ociManifest, digest: 'blake3:abc', size: 4 }, { size: 4 }].map(
    (entry): Row => ({
      name: `an entry that is ${JSON.stringify(entry)}`,
      content: ({ content }) => {
        const amd64 = content.image('app', undefined);
        const { ociIndex: mediaType } = mediaTypes;
        const document = { schemaVersion: 2, mediaType, manifests: [on('amd64', amd64), entry] };
        return { amd64, index: content.manifest('app', 't', mediaType, document) };
      },
      has: ['amd64', 'index'],
      reported: /app:t: the index has 1 entry without a valid descriptor/,
    }),
  ),
  {
    name: 'an entry without a media type is found by its digest',
    content: (registry) => {
      const arm = registry.content.image('app', undefined, { layers: ['arm'] });
      return { ...withEntry(registry, { ...on('arm', arm), mediaType: '' }), arm };
    },
    has: ['ok', 'amd64', 'index', 'arm'],
  },
];
