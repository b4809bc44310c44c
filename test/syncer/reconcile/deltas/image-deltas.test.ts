import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { RefusedDelta } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import type { DeltaOffers } from '../../../../services/syncer/link/terrace/parent-deltas.ts';
import type { ImageDeltas } from '../../../../services/syncer/reconcile/deltas/image-deltas.ts';
import type { ImageToPull } from '../../../../services/syncer/reconcile/deltas/image-questions.ts';
import { GatewayRig, sha256 } from '../../../gateway/gateway-rig.ts';
import { pushImage, pushIndex } from '../../../support/registry/image.ts';
import { deltasOf, deltaTo, descriptor, imageOf, MB, OTHER, parentWith } from './image-rig.ts';

/** Which blobs of an image are asked for, of what, and what is made of the answers. */

let layer: GatewayRig;
let host: string;
before(async () => {
  layer = await GatewayRig.start();
  host = `http://127.0.0.1:${layer.port}`;
});
after(() => layer[Symbol.asyncDispose]());

const answersOf = async (deltas: ImageDeltas, image: ImageToPull) =>
  Promise.all([...deltas.decisions(image)].map(async ([digest, decision]) => [digest, await decision]));

test('one question asks for the large layers of an image, and names those of the image to which the tag points', async () => {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  const [first, second] = held.layers.map(({ digest }) => digest) as [string, string];
  const delta = deltaTo(sha256('new'), [first]);
  const { offers, asked } = parentWith((digest) => (digest === delta.to ? delta : 'plain'));
  const image = imageOf([sha256('new'), sha256('small'), OTHER], [held.digest], [MB, 1_000, MB]);
  const deltas = await deltasOf(layer, offers);
  assert.deepEqual(await answersOf(deltas, image), [
    [sha256('new'), delta],
    [OTHER, undefined],
  ]);
  assert.deepEqual(asked, [
    {
      repository: 'app',
      wanted: [
        { digest: sha256('new'), size: MB },
        { digest: OTHER, size: MB },
      ],
      layers: [sha256('new'), sha256('small'), OTHER],
      held: [[first, second]],
      wait: 0,
    },
  ]);
  // The same blobs are not asked for again.
  await answersOf(deltas, image);
  assert.equal(asked.length, 1);
});

test('a platform of an index is asked for with the same platform of the index here', async () => {
  const platforms = ['amd64', 'arm64'].map((architecture) => ({ os: 'linux', architecture }));
  const children = [];
  for (const [at, platform] of platforms.entries())
    children.push({
      ...(await pushImage(host, 'app', undefined, { layers: [3_000 + at], platform })),
      platform,
    });
  const index = await pushIndex(host, 'app', 'multi', children as never);
  const { offers, asked } = parentWith(() => 'plain');
  const image = imageOf([sha256('new')], [index.digest]);
  const [node] = image.nodes as [ImageToPull['nodes'][number]];
  const above = {
    digest: sha256('index'),
    manifest: {
      mediaType: mediaTypes.ociIndex,
      blobs: [],
      foreign: [],
      manifests: [{ ...descriptor(node.digest, 1), platform: platforms[1]! }],
    },
    isReferrer: false,
  };
  await answersOf(await deltasOf(layer, offers), { ...image, nodes: [node, above] });
  assert.deepEqual(
    asked.map(({ held }) => held),
    [[[children[1]!.layers[0]!.digest]]],
  );
});

/** Cases in which nothing is asked. */
const silent: [why: string, offers: Partial<DeltaOffers>, options: Parameters<typeof deltasOf>[2]][] = [
  ['the parent has not announced deltas', { areOffered: false }, {}],
  ['the mode is off', {}, { mode: 'off' }],
  ['the link is fast', {}, { rate: 500 * MB }],
];
for (const [why, changes, options] of silent) {
  test(`no question is asked if ${why}`, async () => {
    const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
    const { offers, asked } = parentWith(() => 'making');
    const deltas = await deltasOf(layer, { ...offers, ...changes }, options);
    assert.equal(deltas.decisions(imageOf([OTHER], [held.digest])).size, 0);
    assert.deepEqual(asked, []);
  });
}

test('no question is asked if nothing similar is here', async () => {
  const { offers, asked } = parentWith(() => 'making');
  assert.deepEqual(await answersOf(await deltasOf(layer, offers), imageOf([OTHER], [])), [
    [OTHER, undefined],
  ]);
  assert.deepEqual(asked, []);
});

test('a delta that is being made is waited for where that pays, and others are not held up by it', async () => {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  const from = [held.layers[0]!.digest];
  const made = Promise.withResolvers<void>();
  const { offers, asked } = parentWith(
    (digest) => (digest === OTHER ? 'making' : deltaTo(digest, from)),
    (digest) => deltaTo(digest, from),
  );
  const { ask } = offers;
  const waiting = {
    ...offers,
    ask: async (...args: Parameters<typeof ask>) => {
      if (args[0].wait > 0) await made.promise;
      return ask(...args);
    },
  };
  const deltas = await deltasOf(layer, waiting, { rate: 0.1 * MB });
  const decisions = deltas.decisions(imageOf([sha256('new'), OTHER], [held.digest]));
  assert.ok(await decisions.get(sha256('new')));
  made.resolve();
  assert.ok(await decisions.get(OTHER));
  assert.deepEqual(
    asked.map(({ wanted, wait }) => [wanted.length, wait > 0]),
    [
      [2, false],
      [1, true],
    ],
  );
});

test('nothing is waited for while the link is unknown, or if a part of the blob is here', async () => {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  for (const options of [{}, { rate: 0.1 * MB, isPartial: () => true }]) {
    const { offers, asked } = parentWith(() => 'making');
    const deltas = await deltasOf(layer, offers, options);
    assert.deepEqual(await answersOf(deltas, imageOf([OTHER], [held.digest])), [[OTHER, undefined]]);
    assert.equal(asked.length, 1);
  }
});

test('a parent that does not answer costs no delta more than the question', async () => {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  const { offers } = parentWith();
  const failing = { ...offers, ask: () => Promise.reject(new Fault('busy', '429')) };
  for (const one of [offers, failing])
    assert.deepEqual(await answersOf(await deltasOf(layer, one), imageOf([OTHER], [held.digest])), [
      [OTHER, undefined],
    ]);
});

test('a parent that is down for a moment while it makes a delta is asked again, and so is one that is busy', async () => {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  const from = [held.layers[0]!.digest];
  const outage = new Fault('parent-unreachable', 'the connection was reset');
  for (const failure of [outage, new Fault('busy', '429')]) {
    const failed: number[] = [];
    const { offers, asked } = parentWith(
      () => 'making',
      (digest) => deltaTo(digest, from),
    );
    const { ask } = offers;
    const failing: DeltaOffers = {
      ...offers,
      ask: async (...args) => {
        // Once before the first answer, and once while a delta is being made.
        if (failed.length <= asked.length) {
          failed.push(args[0].wait);
          throw failure;
        }
        return ask(...args);
      },
    };
    const image = imageOf([OTHER], [held.digest], [100 * MB]);
    const deltas = await deltasOf(layer, failing, { rate: 0.5 * MB });
    assert.ok((await answersOf(deltas, image))[0]?.[1], failure.code);
    assert.deepEqual([failed.length, asked.length], [2, 2]);
  }
});

test('a delta that an earlier transfer brought is used without a question, and one that was wrong is not', async () => {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  const from = [held.layers[0]!.digest];
  const delta = deltaTo(OTHER, from);
  const { offers, asked } = parentWith(() => delta);
  const image = imageOf([OTHER], [held.digest]);
  const listed = { ...delta, made: 1, used: 1 };
  const here = await deltasOf(layer, offers, { kept: { deltas: [listed], refused: [] } });
  assert.deepEqual(await answersOf(here, image), [[OTHER, delta]]);
  assert.equal(asked.length, 0);
  const lacking = { ...listed, from: [sha256('not here')] };
  const elsewhere = await deltasOf(layer, offers, { kept: { deltas: [lacking], refused: [] } });
  assert.deepEqual(await answersOf(elsewhere, image), [[OTHER, delta]]);
  assert.equal(asked.length, 1);
  const refused: RefusedDelta[] = [{ to: OTHER, from, format: DELTA_FORMAT, reason: 'wrong' }];
  const wrong = await deltasOf(layer, offers, { kept: { deltas: [], refused } });
  assert.deepEqual(await answersOf(wrong, image), [[OTHER, undefined]]);
});

/** An index above of this number of platforms, each of one new layer, and the same here. */
async function multi(count: number): Promise<ImageToPull> {
  const platforms = Array.from({ length: count }, (_, at) => ({ os: 'linux', architecture: `a${at}` }));
  const children = [];
  for (const [at, platform] of platforms.entries())
    children.push({
      ...(await pushImage(host, 'app', undefined, { layers: [4_000 + at], platform })),
      platform,
    });
  const index = await pushIndex(host, 'app', 'several', children as never);
  const images = platforms.map((_, at) => imageOf([sha256(`new ${at}`)], []));
  const nodes = images.flatMap(({ nodes }, at) =>
    nodes.map((node) => ({ ...node, digest: sha256(`${at}`) })),
  );
  const manifests = nodes.map(({ digest }, at) => ({ ...descriptor(digest, 1), platform: platforms[at]! }));
  const above = {
    digest: sha256('index'),
    manifest: { mediaType: mediaTypes.ociIndex, blobs: [], foreign: [], manifests },
    isReferrer: false,
  };
  return {
    repository: 'app',
    nodes: [...nodes, above],
    missing: images.flatMap(({ missing }) => missing),
    similar: () => [index.digest],
  };
}

test('what the parent has is known of each platform before a delta is waited for', async () => {
  const image = await multi(6);
  const { promise: never } = Promise.withResolvers<undefined>();
  const last = sha256('new 5');
  const { offers } = parentWith((digest) => (digest === last ? 'plain' : 'making'));
  const { ask } = offers;
  const waiting: DeltaOffers = { ...offers, ask: (...args) => (args[0].wait > 0 ? never : ask(...args)) };
  const deltas = await deltasOf(layer, waiting, { mode: 'always' });
  assert.equal(await deltas.decisions(image).get(last), undefined);
});

test('a blob that no question names does not wait for the answers', async () => {
  const image = await multi(2);
  const { promise: never } = Promise.withResolvers<undefined>();
  const { offers } = parentWith();
  const deltas = await deltasOf(layer, { ...offers, ask: () => never }, { mode: 'always' });
  const other = imageOf([OTHER], []);
  const platform = { os: 'windows', architecture: 'a' };
  const [node] = other.nodes as [ImageToPull['nodes'][number]];
  const nodes = image.nodes.map((one) => ({
    ...one,
    manifest: {
      ...one.manifest,
      manifests: [...one.manifest.manifests, { ...descriptor(node.digest, 1), platform }],
    },
  }));
  const decisions = deltas.decisions({
    ...image,
    nodes: [...nodes, node],
    missing: [...image.missing, ...other.missing],
  });
  assert.equal(await decisions.get(OTHER), undefined);
});

test('a blob that was not worth a question is not asked for later', async () => {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  const { offers, asked } = parentWith(() => 'plain');
  let roundTripMs = 3_600_000;
  const deltas = await deltasOf(
    layer,
    {
      ...offers,
      get roundTripMs() {
        return roundTripMs;
      },
    },
    { rate: 0.1 * MB },
  );
  const image = imageOf([OTHER], [held.digest]);
  assert.equal(deltas.decisions(image).size, 0);
  roundTripMs = 1;
  assert.equal(deltas.decisions(image).size, 0);
  assert.deepEqual(asked, []);
});

test('a parent that does not wait is not asked in quick succession', async () => {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  const { offers, asked } = parentWith(() => 'making');
  const deltas = await deltasOf(layer, offers, { mode: 'always', timeMs: 1_500 });
  assert.deepEqual(await answersOf(deltas, imageOf([OTHER], [held.digest])), [[OTHER, undefined]]);
  assert.ok(asked.length <= 4, `${asked.length} questions`);
});
