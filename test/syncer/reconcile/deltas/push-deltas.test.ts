import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { MAX_WANTED, MIN_DELTA_TARGET_BYTES } from '#proto/content/deltas.ts';
import type { BasesAnswer } from '#proto/sync/delta-exchange.ts';
import type { DeltaJob } from '#proto/sync/delta-jobs.ts';
import { DeltaPace } from '../../../../services/syncer/delta/delta-pace.ts';
import { LinkRate } from '../../../../services/syncer/delta/link-rate.ts';
import type { AskedDeltas, DeltaBases } from '../../../../services/syncer/link/terrace/parent-deltas.ts';
import { deltasToPush, type TreeToPush } from '../../../../services/syncer/reconcile/deltas/push-deltas.ts';
import { DeltaLayer } from '../../../gateway/deltas/delta-layer.ts';
import { sha256 } from '../../../gateway/gateway-rig.ts';
import { quiet } from '../../../support/bus.ts';
import { configurationWith } from '../../../support/configuration.ts';
import { pushImage } from '../../../support/registry/image.ts';

/** Which blobs of a push cross the link as deltas: of what the parent holds, and as long as that saves time. */

const MB = 1_000_000;
const { signal } = new AbortController();
let layer: DeltaLayer;
let host: string;
let outcome: (job: DeltaJob) => Promise<void>;
before(async () => {
  layer = await DeltaLayer.start();
  host = `127.0.0.1:${layer.rig.port}`;
  layer.work((job) => outcome(job));
});
after(() => layer[Symbol.asyncDispose]());
beforeEach(() => {
  layer.jobs.length = 0;
  outcome = layer.make;
});

/** A parent that holds these layers. */
function parentWith(answer: Partial<BasesAnswer> | undefined, areOffered = true) {
  const asked: AskedDeltas[] = [];
  const deltas: DeltaBases = {
    areOffered,
    roundTripMs: 10,
    async bases(question) {
      asked.push(question);
      return answer && { present: [], held: [], ...answer };
    },
  };
  return { deltas, asked };
}

type Options = { mode?: 'auto' | 'always' | 'off'; rate?: number; isMountable?: TreeToPush['isMountable'] };

function begin(
  deltas: DeltaBases | undefined,
  tree: Partial<TreeToPush>,
  { mode = 'always', rate, isMountable = async () => false }: Options = {},
) {
  const clock = { now: 0 };
  const link = new LinkRate(() => clock.now);
  if (rate !== undefined) {
    const blob = { repository: 'a', digest: 'b', size: 10 * MB };
    link.started(blob, 0);
    clock.now = ((10 * MB) / rate) * 1_000;
    link.ended(blob, { complete: true });
  }
  const deps = {
    ...{ bus: layer.syncer as never, volume: layer.rig.gateway.volume, log: quiet, signal },
    configuration: configurationWith({ delta: { mode } }),
    ...{ deltas, deltaPace: new DeltaPace({ link, load: () => 0 }) },
  };
  const complete = { repository: 'app', images: [], missing: [], similar: () => [], isMountable, ...tree };
  return deltasToPush(deps, complete);
}

const decide = async (...args: Parameters<typeof begin>) =>
  Promise.all(
    [...begin(...args)].map(async ([digest, decision]) => [digest, (await decision)?.from] as const),
  );

/** An image that the parent has, and one that it lacks: of its two layers, the second is new. */
async function update(repository: string, size = MB, name = 'v') {
  const same = { seed: `${repository} ${name}`, size: 300_000 };
  const old = await pushImage(host, repository, `${name}1`, { layers: [same, size] });
  const next = await pushImage(host, repository, `${name}2`, { layers: [same, size] });
  const [base, from] = old.layers.map(({ digest }) => digest) as [string, string];
  const [, to] = next.layers.map(({ digest }) => digest) as [string, string];
  const tree = {
    repository,
    images: [{ layers: [base, to], platform: '' }],
    missing: [{ digest: to, size }],
    similar: () => [old.digest],
  };
  return { base, from, to, tree };
}

test('one question names what is missing and what is here; the delta is made of what the parent holds', async () => {
  const { base, from, to, tree } = await update('a/one');
  const { deltas, asked } = parentWith({ held: [base, from] });
  assert.deepEqual(await decide(deltas, tree), [[to, [from]]]);
  const question = { wanted: [{ digest: to, size: MB }], layers: [base, to], held: [[base, from]], wait: 0 };
  assert.deepEqual(asked, [{ repository: 'a/one', ...question }]);
  const [job] = layer.jobs;
  const { kind, reason, candidates } = job as Extract<DeltaJob, { kind: 'make' }>;
  assert.deepEqual({ kind, reason, candidates }, { kind: 'make', reason: 'push', candidates: [from, base] });
  // It is here now.
  assert.deepEqual(await decide(deltas, tree), [[to, [from]]]);
  assert.equal(layer.jobs.length, 1);
});

test('without a base at the parent, or if it has the blob, or can mount it, no delta is made', async () => {
  const { base, from, to, tree } = await update('a/two');
  for (const answer of [undefined, {}, { present: [to], held: [base, from] }]) {
    assert.deepEqual(await decide(parentWith(answer).deltas, tree), [[to, undefined]]);
  }
  const { deltas, asked } = parentWith({ held: [base, from] });
  assert.deepEqual(await decide(deltas, tree, { isMountable: async () => true }), [[to, undefined]]);
  assert.deepEqual([asked, layer.jobs], [[], []]);
});

test('a parent that makes no deltas is not asked, nor any for small blobs or without something alike here', async () => {
  const { base, from, to, tree } = await update('a/three');
  const none = parentWith({ held: [base, from] }, false);
  assert.deepEqual(await decide(none.deltas, tree), []);
  assert.deepEqual(await decide(undefined, tree), []);
  const { deltas, asked } = parentWith({ held: [base, from] });
  assert.deepEqual(await decide(deltas, tree, { mode: 'off' }), []);
  assert.deepEqual(
    await decide(deltas, { ...tree, missing: [{ digest: to, size: MIN_DELTA_TARGET_BYTES - 1 }] }),
    [],
  );
  assert.deepEqual(await decide(deltas, { ...tree, missing: [{ digest: sha256('config'), size: MB }] }), []);
  assert.deepEqual(await decide(deltas, { ...tree, similar: () => [] }), [[to, undefined]]);
  assert.deepEqual(await decide(deltas, { ...tree, similar: () => [sha256('absent')] }), [[to, undefined]]);
  assert.deepEqual([none.asked, asked, layer.jobs], [[], [], []]);
});

test('in auto, a fast link, and one of which nothing is known, sends the blob at once; a slow one waits', async () => {
  const { base, from, to, tree } = await update('a/four', 3 * MB);
  const { deltas, asked } = parentWith({ held: [base, from] });
  assert.deepEqual(await decide(deltas, tree, { mode: 'auto', rate: 1_000 * MB }), []);
  assert.deepEqual(asked, []);
  assert.deepEqual(await decide(deltas, tree, { mode: 'auto' }), [[to, undefined]]);
  assert.deepEqual(layer.jobs, []);
  assert.deepEqual(await decide(deltas, tree, { mode: 'auto', rate: 0.1 * MB }), [[to, [from]]]);
});

test('a delta that can not be made ends the wait for it, and not for the others', async () => {
  const one = await update('a/five', MB, 'one');
  const two = await update('a/five', MB, 'two');
  outcome = (job) => (job.kind === 'make' && job.to === one.to ? layer.fail(job) : layer.make(job));
  const { deltas } = parentWith({ held: [one.base, one.from, two.base, two.from] });
  const tree = {
    repository: 'a/five',
    images: [{ layers: [one.base, one.to, two.base, two.to], platform: '' }],
    missing: [...one.tree.missing, ...two.tree.missing],
    similar: () => [...one.tree.similar(), ...two.tree.similar()],
  };
  const decided = new Map(await decide(deltas, tree));
  assert.deepEqual([decided.get(one.to), decided.get(two.to)?.length], [undefined, 1]);
});

test('a job of others for the same target that fails does not end the wait', async () => {
  const { base, from, to, tree } = await update('a/six');
  outcome = async (job) => {
    if (job.kind === 'make') await layer.fail({ ...job, candidates: [base] });
    await layer.make(job);
  };
  assert.deepEqual(await decide(parentWith({ held: [base, from] }).deltas, tree), [[to, [from]]]);
});

test('a parent that can not be reached is no reason to fail', async () => {
  const { to, tree } = await update('a/seven');
  const deltas = { ...parentWith({}).deltas, bases: () => Promise.reject(new Error('unreachable')) };
  assert.deepEqual(await decide(deltas, tree), [[to, undefined]]);
});

test('a blob that the parent has, or that no question names, does not wait for a delta that is being made', async () => {
  const { base, from, to, tree } = await update('a/eight');
  const { promise, resolve } = Promise.withResolvers<void>();
  outcome = async (job) => {
    await promise;
    await layer.fail(job);
  };
  const others = Array.from({ length: MAX_WANTED }, (_, at) => sha256(`other ${at}`));
  const [present, unnamed] = [others.slice(0, -1), others.at(-1) as string];
  const { deltas } = parentWith({ held: [base, from], present });
  const decisions = begin(deltas, {
    ...tree,
    images: [{ layers: [base, to, ...others], platform: '' }],
    missing: [...tree.missing, ...others.map((digest) => ({ digest, size: MB }))],
  });
  assert.equal(await decisions.get(present[0] as string), undefined);
  assert.equal(await decisions.get(unnamed), undefined);
  resolve();
  assert.equal(await decisions.get(to), undefined);
});

test('in auto, while the link is unknown, the parent is asked only for a delta that is here', async () => {
  const { base, from, to, tree } = await update('a/nine');
  const { deltas, asked } = parentWith({ held: [base, from] });
  let heads = 0;
  const options = {
    mode: 'auto' as const,
    isMountable: async () => {
      heads += 1;
      return false;
    },
  };
  assert.deepEqual(await decide(deltas, tree, options), [[to, undefined]]);
  assert.deepEqual([asked.length, heads], [0, 0]);
  await decide(deltas, tree);
  assert.deepEqual(await decide(deltas, tree, options), [[to, [from]]]);
  assert.deepEqual([asked.length, heads], [2, 1]);
});
