import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { missingBlobs } from '#proto/content/blobs.ts';
import { startUpload } from '#proto/content/ingests.ts';
import { missingManifests, putManifest, putTag } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { imageFailed } from '#proto/sync/passes.ts';
import type { FetchedManifest } from '../../../../services/syncer/link/parent/parent-reader.ts';
import { BehindBook } from '../../../../services/syncer/reconcile/behind/behind-book.ts';
import { FailedParts } from '../../../../services/syncer/reconcile/context/leave-out.ts';
import { LeftOutContent } from '../../../../services/syncer/reconcile/context/left-out.ts';
import { Oversized } from '../../../../services/syncer/reconcile/context/oversized.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import { Sends } from '../../../../services/syncer/reconcile/context/sends.ts';
import { TREE_LIMITS, type TreeLimits } from '../../../../services/syncer/reconcile/context/tree-budget.ts';
import { type Image, pullImages } from '../../../../services/syncer/reconcile/pull/images.ts';
import { MemoryBudget } from '../../../../services/syncer/reconcile/pull/memory-budget.ts';
import { loadMissingTree } from '../../../../services/syncer/reconcile/pull/tree.ts';
import type { TreeSelection } from '../../../../services/syncer/reconcile/pull/tree-selection.ts';

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const EMPTY = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: digestOf(Buffer.from('')),
  size: 0,
};

/** A parent in memory. */
class MemoryParent {
  readonly manifests = new Map<string, FetchedManifest>();
  readonly referrersOf = new Map<string, Descriptor[]>();
  fetched = 0;

  add(mediaType: string, content: object): Descriptor {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...content }));
    const digest = digestOf(bytes);
    this.manifests.set(digest, { digest, mediaType, bytes });
    return { mediaType, digest, size: bytes.length };
  }

  image(
    name: string,
    { padding = 0, layers = 0, subject }: { padding?: number; layers?: number; subject?: Descriptor } = {},
  ) {
    return this.add(mediaTypes.ociManifest, {
      config: EMPTY,
      layers: Array.from({ length: layers }, () => EMPTY),
      annotations: { name, padding: 'x'.repeat(padding) },
      ...(subject && { subject }),
    });
  }

  index(manifests: Descriptor[]): Descriptor {
    return this.add(mediaTypes.ociIndex, { manifests });
  }

  client = {
    manifest: async (_: string, reference: string) => {
      this.fetched += 1;
      await new Promise(setImmediate);
      return this.manifests.get(reference) ?? assert.fail(reference);
    },
    referrers: async (_: string, digest: string) => ({
      manifests: this.referrersOf.get(digest) ?? [],
      malformed: 0,
      leftOut: [],
    }),
    hiddenReferrers: () => undefined,
    hiddenReferrersAbove: () => undefined,
    resolve: async () => undefined,
  };
}

/** Storage of an empty layer. */
const bus = {
  call: async (contract: object, query: { digests?: string[]; tag?: string }) => {
    if (contract === missingManifests) return { digests: query.digests };
    if (contract === missingBlobs) return { digests: [] };
    if (contract === storageStatus) return { ingests: [] };
    if (contract === startUpload) return { id: 'id', claim: 'claim' };
    return {};
  },
};
const volume = { openIngest: async () => ({ write: async () => {}, [Symbol.asyncDispose]: async () => {} }) };
const { signal } = new AbortController();
const all: TreeSelection = {
  referrers: true,
  isDeleted: () => false,
  leftOutByParent: new Map(),
  isList: false,
};
const notes = {
  behind: new BehindBook([]),
  failedParts: new FailedParts(),
  leftOut: new LeftOutContent(),
  hiddenReferrers: new Map(),
  leftOutRecords: { replace: async () => {} },
  prefetch: { manifest: async () => undefined },
  pass: 'pass',
};

const loadTree = (
  parent: MemoryParent,
  root: Descriptor,
  limits: Partial<TreeLimits> = {},
  selection: Partial<TreeSelection> = {},
) => {
  const deps = { ...notes, bus, volume, parent: parent.client, signal };
  return loadMissingTree(
    deps as unknown as PassContext,
    'app',
    root.digest,
    { ...all, ...selection },
    {
      limits: { ...TREE_LIMITS, ...limits },
    },
  );
};

test('an image beyond a limit fails by name, and its fault names the limit', async () => {
  const parent = new MemoryParent();
  const children = Array.from({ length: 160 }, (_, at) =>
    parent.image(`m${at}`, { padding: 10_000, layers: 3 }),
  );
  const index = parent.index(children);
  const named = new RegExp(`^${index.digest} of app .*exceeds the limits`);
  const rows: [Partial<TreeLimits>, RegExp][] = [
    [{ bytes: 500_000 }, /more than 500000 bytes of manifests/],
    [{ manifests: 100 }, /more than 100 manifests/],
    [{ blobs: 300 }, /more than 300 blobs/],
    [{ ms: 0 }, /longer than 0 min/],
  ];
  for (const [limits, why] of rows) {
    parent.fetched = 0;
    const loading = loadTree(parent, index, limits);
    await assert.rejects(loading, { code: 'too-large', message: named });
    await assert.rejects(loading, { message: why });
    assert.ok(parent.fetched < 130, `${parent.fetched} manifests were fetched`);
  }
  assert.equal((await loadTree(parent, index)).nodes.length, 161);
});

test('an endless chain of referrers is cut at the limits of an image, which is loaded without the rest', async () => {
  const parent = new MemoryParent();
  const image = parent.image('image');
  let subject = image;
  for (let at = 0; at < 30; at += 1) {
    const referrer = parent.image(`r${at}`, { subject });
    parent.referrersOf.set(subject.digest, [referrer]);
    subject = referrer;
  }
  const bounded = await loadTree(parent, image, { manifests: 12 });
  assert.equal(bounded.nodes.length, 12);
  assert.deepEqual(
    bounded.problems.map(({ kind, code }) => [kind, code]),
    [['referrer', 'too-large']],
  );
  const deep = await loadTree(parent, image);
  assert.equal(deep.nodes[0]?.digest, image.digest);
  assert.match(deep.problems[0]?.reason ?? '', /nested too deeply/);
});

test('the referrers of a manifest are requested together with it', async () => {
  const parent = new MemoryParent();
  const image = parent.image('image');
  const { promise: listed, resolve } = Promise.withResolvers<void>();
  const { manifest, referrers } = parent.client;
  parent.client.manifest = async (...query) => {
    await listed;
    return manifest(...query);
  };
  let lists = 0;
  parent.client.referrers = async (...query) => {
    lists += 1;
    resolve();
    return referrers(...query);
  };
  assert.deepEqual((await loadTree(parent, image)).subjects, [image.digest]);
  assert.equal(lists, 1);
});

test('a tree holds only the manifest fields in use, and what it reports to storage is bounded', async () => {
  const parent = new MemoryParent();
  const child = {
    ...parent.image('a', { padding: 100_000 }),
    platform: { os: 'x'.repeat(100_000), architecture: 'y' },
  };
  const index = parent.index([child]);
  const [first, second] = (await loadTree(parent, index, {}, { platforms: ['linux/amd64'] })).nodes;
  assert.equal(second, undefined);
  assert.deepEqual(first?.leftOut, [{ digest: child.digest, platform: `${'x'.repeat(99)}…` }]);
  const [image] = (await loadTree(parent, child)).nodes;
  assert.deepEqual(image?.manifest, {
    mediaType: mediaTypes.ociManifest,
    blobs: [{ ...EMPTY, mediaType: '' }],
    foreign: [],
    manifests: [],
  });
  const many = Array.from({ length: 4_001 }, (_, at) => ({
    ...EMPTY,
    digest: `sha256:${String(at).padStart(64, '0')}`,
    platform: { os: 'linux', architecture: 's390x' },
  }));
  await assert.rejects(loadTree(parent, parent.index(many), {}, { platforms: ['linux/amd64'] }), {
    code: 'too-large',
    message: /leaves out more than 4000 manifests/,
  });
});

/**
 * Pulls images of one manifest each. @returns the tags in the order in which they moved, the max bytes held, and the
 * numbers of failed images and of fetched manifests
 */
async function pulled(
  sizes: number[],
  room: MemoryBudget,
  oversized = new Oversized(),
  limits?: TreeLimits,
): Promise<{ tags: string[]; maxHeld: number; failed: number; fetched: number }> {
  const parent = new MemoryParent();
  const tags: string[] = [];
  let [maxHeld, failed] = [0, 0];
  const hold = room.hold.bind(room);
  let held = 0;
  room.hold = (bytes) => {
    hold(bytes);
    held += bytes;
    maxHeld = Math.max(maxHeld, held);
  };
  const release = room.release.bind(room);
  room.release = (bytes) => {
    release(bytes);
    held -= bytes;
  };
  const survey = { selected: {}, lists: new Set(), here: new Set(), parentTargets: new Map() };
  const images = sizes.map((padding, at) => {
    const tag = `t${String(at).padStart(4, '0')}`;
    return {
      tag,
      digest: parent.image(tag, { padding }).digest,
      repository: 'app',
      priority: 0,
      survey,
    } as unknown as Image;
  });
  const deps = {
    bus: {
      call: async (contract: object, query: { tag?: string }) => {
        if (contract === putTag && query.tag) tags.push(query.tag);
        if (contract === putManifest) await new Promise(setImmediate);
        return bus.call(contract, query);
      },
      publish: (event: object) => {
        if (event === imageFailed) failed += 1;
      },
    },
    volume,
    configuration: { delta: { mode: 'off' } },
    parent: parent.client,
    signal,
    transferJobs: { download: async () => {} },
    unsentChanges: { isDeleted: () => false },
    leftOutByParent: new Map(),
    sends: new Sends().observe(),
    ...notes,
    oversized,
    stats: { dropped: 0, taken: 0, fail: () => ({ code: '', reason: '' }) },
    pass: 'p',
    by: 'b',
    layer: 'l',
  };
  await pullImages(deps as unknown as PassContext, images, { room, ...(limits && { limits }) });
  assert.equal(held, 0);
  return { tags, maxHeld, failed, fetched: parent.fetched };
}

test('images beyond the memory budget wait for those before them, and all are pulled', async () => {
  const sizes = Array.from({ length: 450 }, () => 50_000);
  const { tags, maxHeld, failed } = await pulled(sizes, new MemoryBudget(1_000_000));
  assert.equal(failed, 0);
  assert.deepEqual(
    tags.toSorted(),
    Array.from(sizes, (_, at) => `t${String(at).padStart(4, '0')}`),
  );
  // Manifests in flight when the budget was full are held, too: 16 at most, and the first of a batch.
  assert.ok(maxHeld < 1_000_000 + 18 * 101_000, `${maxHeld} bytes`);
});

test('an image larger than the memory budget is pulled', async () => {
  const { tags, failed } = await pulled([1_000, 900_000, 800_000, 1_000], new MemoryBudget(100_000));
  assert.equal(failed, 0);
  assert.deepEqual(tags.toSorted(), ['t0000', 't0001', 't0002', 't0003']);
});

test('an oversized image is not fetched again by the next pass', async () => {
  const oversized = new Oversized();
  const limits = { ...TREE_LIMITS, bytes: 10_000 };
  const first = await pulled([1_000, 50_000], new MemoryBudget(), oversized, limits);
  const next = await pulled([1_000, 50_000], new MemoryBudget(), oversized, limits);
  assert.deepEqual([first.failed, first.fetched, first.tags], [1, 2, ['t0000']]);
  assert.deepEqual([next.failed, next.fetched, next.tags], [1, 1, ['t0000']]);
});

test('a list of referrers that is hidden is no problem of its image, and is remembered for the pass', async () => {
  const parent = new MemoryParent();
  const image = parent.image('image');
  const fault = new Fault('busy', '429');
  const client = {
    ...parent.client,
    referrers: async () => {
      throw fault;
    },
    hiddenReferrers: () => fault,
  };
  const hiddenReferrers = new Map<string, unknown>();
  const context = {
    ...notes,
    hiddenReferrers,
    bus,
    volume,
    parent: client,
    signal,
  } as unknown as PassContext;
  const { problems } = await loadMissingTree(context, 'app', image.digest, all);
  assert.deepEqual(problems, []);
  assert.deepEqual([...hiddenReferrers.keys()], ['app']);
});
