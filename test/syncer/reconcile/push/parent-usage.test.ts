import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mediaTypes } from '#proto/oci/manifest.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import type { Survey } from '../../../../services/syncer/reconcile/observe/survey.ts';
import { ParentUsage } from '../../../../services/syncer/reconcile/push/parent-usage.ts';

const [A, B, I, J] = ['a', 'b', 'c', 'd'].map((letter) => `sha256:${letter.repeat(64)}`) as [
  Digest,
  Digest,
  Digest,
  Digest,
];

/** A parent with these tags and indexes. @param local manifests of the layer */
function scene(tags: Map<Tag, Digest>, indexes: Record<Digest, Digest[]> = {}, local: Digest[] = []) {
  const requests: string[] = [];
  const deps = {
    bus: {
      call: async (_: unknown, { digests }: { digests: Digest[] }) => ({
        digests: digests.filter((digest) => !local.includes(digest)),
      }),
    },
    parent: {
      tags: async () => {
        requests.push('tags');
        return [...tags.keys()];
      },
      resolve: async (_: string, tag: Tag) => tags.get(tag),
      manifest: async (_: string, digest: Digest) => {
        const manifests = (indexes[digest] ?? []).map((child) => ({
          digest: child,
          size: 1,
          mediaType: child in indexes ? mediaTypes.ociIndex : mediaTypes.ociManifest,
        }));
        const mediaType = mediaTypes.ociIndex;
        const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
        return { digest, mediaType, bytes };
      },
    },
    signal: new AbortController().signal,
  } as unknown as PassContext;
  const surveyed = (withdrawn: [Tag, Digest][] = []): Survey =>
    ({
      repository: 'app',
      at: 0,
      parentTargets: new Map(tags),
      actions: withdrawn.map(([tag, parent]) => ({
        tag,
        views: { base: parent, layer: undefined, parent },
        action: { kind: 'withdraw', digest: undefined },
      })),
    }) as unknown as Survey;
  return { deps, surveyed, requests };
}

test('content is needed while a tag that is not withdrawn points to it', async () => {
  const { deps, surveyed } = scene(
    new Map([
      ['v1', A],
      ['v2', A],
      ['v3', B],
    ]),
  );
  const usage = new ParentUsage(deps, surveyed([['v2', A]]), () => 0);
  assert.equal(await usage.needs(A), true);
  assert.equal(await usage.needs(A, 'v1'), false);
  assert.equal(await usage.needs(B, 'v1'), true);
});

test('content is needed by an index that the layer lacks, also by a nested one', async () => {
  const tags = new Map([['v1', I]]);
  const indexes = { [I]: [J], [J]: [A] };
  const { deps, surveyed } = scene(tags, indexes);
  const usage = new ParentUsage(deps, surveyed(), () => 0);
  assert.deepEqual([await usage.needs(A), await usage.needs(B)], [true, false]);
  const both = scene(tags, indexes, [I, J]);
  assert.equal(await new ParentUsage(both.deps, both.surveyed(), () => 0).needs(A), false);
});

test('a stale snapshot of the tags is refreshed once for all concurrent calls', async () => {
  const tags = new Map([['v1', A]]);
  const { deps, surveyed, requests } = scene(tags, {}, [A, B]);
  let now = 0;
  const usage = new ParentUsage(deps, surveyed([['v1', A]]), () => now);
  assert.equal(await usage.needs(A), false);
  assert.deepEqual(requests, []);
  tags.set('v2', A);
  tags.set('v1', B);
  now = 60_000;
  const found = await Promise.all([A, A, B].map((digest) => usage.needs(digest)));
  assert.deepEqual(found, [true, true, true]);
  assert.deepEqual(requests, ['tags']);
});
