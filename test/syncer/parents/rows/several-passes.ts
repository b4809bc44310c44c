import assert from 'node:assert/strict';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import { refused, type ScriptedRegistry } from '../../../support/registry/scripted/scripted-registry.ts';
import type { Checked, Named, Row } from '../parent-rig.ts';

/** What is left out is said as long as it is, and no longer. */

const NOTE = 'application/vnd.example.note';
const MISSING = { mediaType: mediaTypes.ociManifest, digest: `sha256:${'a'.repeat(64)}`, size: 500 };
const on = (architecture: string, descriptor: Descriptor) => ({
  ...descriptor,
  platform: { os: 'linux', architecture },
});

/** A complete index under `t`, and one without a tag that lacks an entry. */
function indexes({ content }: ScriptedRegistry): Named {
  const amd64 = content.image('app', undefined, { layers: ['amd64'] });
  const arm64 = content.image('app', undefined, { layers: ['arm64'] });
  return {
    complete: content.index('app', 't', [on('amd64', amd64), on('arm64', arm64)]),
    lacking: content.index('app', undefined, [on('amd64', amd64), on('s390x', MISSING)]),
  };
}

/** Moves the tag, or deletes it, and makes a pass. @returns the images of which something is left out */
async function leftOutAfter({ registry, layer, named }: Checked, name: string | undefined): Promise<number> {
  const { tags } = registry.content.of('app');
  if (name === undefined) tags.delete('t');
  else tags.set('t', named[name]?.digest ?? '');
  const { ok, leftOut } = await layer.pass();
  assert.equal(ok, leftOut === undefined);
  assert.deepEqual((await layer.link())?.leftOut, leftOut);
  return leftOut?.images ?? 0;
}

/** The parent refuses the tags after the first pass, and then lists them again. */
const refusedOnce = (name: string, more: Partial<Row>): Row => ({
  name: `what an index lacks is said again after its repository was refused: ${name}`,
  content: (registry) => {
    const named = indexes(registry);
    registry.content.of('app').tags.set('t', named.lacking?.digest ?? '');
    return named;
  },
  has: ['lacking'],
  reported: /app:t: the parent has no manifest sha256:aaaa/,
  ...more,
  check: async ({ registry, layer }) => {
    const { quirk } = registry;
    registry.quirk = (request, regular) =>
      request.path.endsWith('/tags/list') ? refused(403, 'DENIED') : quirk?.(request, regular);
    assert.equal((await layer.pass()).failed, 1);
    registry.quirk = quirk;
    for (let passes = 0; passes < 2; passes += 1) {
      const { ok, leftOut } = await layer.pass();
      assert.deepEqual([ok, leftOut?.images], [false, 1]);
    }
  },
});

export const rows: Row[] = [
  {
    name: 'a tag that moves between complete and incomplete indexes',
    content: indexes,
    has: ['complete'],
    check: async (checked) => {
      for (const [name, images] of [
        ['lacking', 1],
        ['complete', 0],
        ['lacking', 1],
        [undefined, 0],
      ] as const) {
        assert.equal(await leftOutAfter(checked, name), images, name);
      }
    },
  },
  ...['lost', `sha256-${'b'.repeat(64)}.sig`].map(
    (tag): Row => ({
      name: `a listed tag without a manifest: ${tag}`,
      content: (registry) => {
        const named = indexes(registry);
        registry.content.of('app').tags.set(tag, MISSING.digest);
        return named;
      },
      passes: 2,
      has: ['complete'],
      reported: /1 tag \(app:(lost|sha256-b+\.sig): the parent lists .*delete the tag there/,
      check: async ({ registry, layer }) => {
        registry.content.of('app').tags.delete(tag);
        assert.equal((await layer.pass()).ok, true);
      },
    }),
  ),
  refusedOnce('with referrers', {}),
  refusedOnce('without referrers', { fields: { repositories: [{ name: 'app', referrers: false }] } }),
  refusedOnce('a parent without the referrers API', {
    quirk: ({ path }) => (path.includes('/referrers/') ? refused(404, 'NOT_FOUND') : undefined),
  }),
  {
    name: 'a selection without referrers ends what was said of them',
    content: ({ content }) => {
      const t = content.image('app', 't');
      const note = content.image('app', undefined, { subject: t, artifactType: NOTE, layers: ['lost'] });
      content.of('app').blobs.delete(note.layers[0]?.digest ?? '');
      return { t };
    },
    has: ['t'],
    reported: /app:t: the parent has no blob/,
    check: async ({ layer, registry }) => {
      await layer.reconfigureWith({
        parent: { url: registry.url },
        repositories: [{ name: 'app', referrers: false }],
        mode: 'ReadOnly',
        schedule: '0 0 1 1 *',
      });
      assert.equal((await layer.pass()).ok, true);
      assert.equal((await layer.link())?.detail, undefined);
    },
  },
  ...[401, 403].map(
    (status): Row => ({
      name: `a foreign layer that is refused once with ${status} comes later`,
      content: ({ content }) => {
        const image = content.image('app', 't', {
          edit: (document) => ({
            ...document,
            layers: document.layers.map((layer) => ({
              ...layer,
              mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
            })),
          }),
        });
        return { image, layer: image.layers[0] as Descriptor };
      },
      quirk: ({ path, earlier }, { named }) =>
        path.endsWith(`/blobs/${named.layer?.digest}`) && earlier < 1 ? refused(status, 'DENIED') : undefined,
      passes: 2,
      has: ['image', 'layer'],
    }),
  ),
];
