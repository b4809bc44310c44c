import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { planCommits } from '../../../../services/syncer/reconcile/pull/commit-plan.ts';
import type { ImageNode } from '../../../../services/syncer/reconcile/pull/image-node.ts';

/** Digests are letters here: what counts is which node names which. */

const descriptor = (digest: string) => ({ mediaType: '', digest, size: 1 });
const node = (
  digest: string,
  fields: { blobs?: string[]; manifests?: string[]; isReferrer?: boolean },
): ImageNode => {
  const { blobs = [], manifests = [], isReferrer = false } = fields;
  const mediaType = fields.manifests ? mediaTypes.ociIndex : mediaTypes.ociManifest;
  const manifest = {
    mediaType,
    blobs: blobs.map(descriptor),
    foreign: [],
    manifests: manifests.map(descriptor),
  };
  return { digest, mediaType, bytes: Buffer.alloc(0), manifest, leftOut: [], isReferrer };
};

const missing = new Fault('blob-unknown', 'missing');
const down = new Fault('parent-unreachable', 'down');
const isLeftOut = (_: string, error: unknown) => error === missing;

/** `committed`: digests in order, with what each leaves out. */
const planned = (root: string, nodes: ImageNode[], failed: Record<string, unknown>) => {
  const plan = planCommits(root, nodes, new Map(Object.entries(failed)), isLeftOut);
  const committed = plan.commits.map(({ digest, leftOut }) =>
    leftOut.length > 0 ? `${digest}-${leftOut.map((entry) => entry.digest).join()}` : digest,
  );
  const problems = plan.problems.map(({ kind, digest }) => `${kind} ${digest}`);
  return { committed, problems, failure: plan.failure };
};

const image = node('image', { blobs: ['config', 'layer'] });
const arm = node('arm', { blobs: ['config', 'armLayer'] });
const index = node('index', { manifests: ['image', 'arm'] });
const note = node('note', { blobs: ['noteLayer'], isReferrer: true });
const cache = node('cache', { blobs: ['one', 'two'], manifests: [] });

const rows: [string, string, ImageNode[], Record<string, unknown>, Partial<ReturnType<typeof planned>>][] = [
  [
    'everything is here',
    'index',
    [image, arm, index, note],
    {},
    { committed: ['image', 'arm', 'index', 'note'] },
  ],
  ['a layer of the image is missing', 'image', [image, note], { layer: missing }, { failure: missing }],
  [
    'a layer of a platform is missing',
    'index',
    [image, arm, index],
    { armLayer: missing },
    { committed: ['image', 'index-arm'], problems: ['child arm'] },
  ],
  [
    'a layer of a platform fails for now',
    'index',
    [image, arm, index],
    { armLayer: down },
    { failure: down },
  ],
  [
    'no platform is left',
    'index',
    [image, arm, index],
    { config: missing },
    { committed: [], failure: missing },
  ],
  [
    'a layer of a referrer is missing',
    'image',
    [image, note],
    { noteLayer: missing },
    { committed: ['image'], problems: ['referrer note'] },
  ],
  [
    'a layer of a referrer fails for now',
    'image',
    [image, note],
    { noteLayer: down },
    { committed: ['image'], problems: ['referrer note'] },
  ],
  [
    'a blob of an index is missing',
    'cache',
    [cache],
    { two: missing },
    { committed: ['cache-two'], problems: ['child two'] },
  ],
  [
    'all blobs of an index are missing',
    'cache',
    [cache],
    { one: missing, two: missing },
    { failure: missing },
  ],
  [
    'a nested index has nothing left',
    'outer',
    [image, arm, node('inner', { manifests: ['arm'] }), node('outer', { manifests: ['image', 'inner'] })],
    { armLayer: missing },
    { committed: ['image', 'outer-inner'], problems: ['child inner'] },
  ],
  [
    'a platform of an index that is here is missing',
    'index',
    [arm],
    { armLayer: missing },
    { committed: [], problems: ['child arm'] },
  ],
  [
    'a platform of an index that is here fails for now',
    'index',
    [arm],
    { armLayer: down },
    { failure: down },
  ],
  [
    'a referrer that is an index lacks a part',
    'image',
    [
      image,
      node('part', { blobs: ['partLayer'], isReferrer: true }),
      node('other', { blobs: ['otherLayer'], isReferrer: true }),
      node('bundle', { manifests: ['part', 'other'], isReferrer: true }),
    ],
    { partLayer: down },
    { committed: ['image', 'other', 'bundle-part'], problems: ['child part'] },
  ],
];
for (const [name, root, nodes, failed, expected] of rows) {
  test(`commits of an image: ${name}`, () => {
    const plan = planned(root, nodes, failed);
    assert.equal(plan.failure, expected.failure);
    if (expected.committed) assert.deepEqual(plan.committed, expected.committed);
    if (!expected.failure) assert.deepEqual(plan.problems, expected.problems ?? []);
  });
}
