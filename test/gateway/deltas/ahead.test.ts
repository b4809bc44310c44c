import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Configuration } from '#proto/document/configuration.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import type { DeltaJob } from '#proto/sync/delta-jobs.ts';
import { pushImage, pushManifest } from '../../support/registry/image.ts';
import { until } from '../../support/until.ts';
import { DeltaLayer, questionFor } from './delta-layer.ts';

/** Deltas that are made before a child asks for them. */

const layer = await DeltaLayer.start();
after(() => layer[Symbol.asyncDispose]());
const { rig } = layer;
const held: (() => void)[] = [];
let mustHold = false;
layer.work(async (job) => {
  if (mustHold) await new Promise<void>((resolve) => held.push(resolve));
  await layer.make(job);
});

const host = `127.0.0.1:${rig.port}`;
const LARGE = 1_100_000;
/** Pushes an image. @returns digests of its layers */
async function push(repository: string, tag: string | undefined, layers: Parameters<typeof pushImage>[3]) {
  const pushed = await pushImage(host, repository, tag, layers);
  return { ...pushed, digests: pushed.layers.map(({ digest }) => digest) };
}
const askFor = (repository: string, layers: string[]) =>
  layer.ask({ ...questionFor(repository, layers[0]!, []), layers });
const makes = (repository: string) =>
  layer.jobs.filter(
    (job): job is Extract<DeltaJob, { kind: 'make' }> => job.kind === 'make' && job.repository === repository,
  );

test('when a tag moves, the deltas of its large layers are made of those that a child asked about last', async () => {
  const old = await push('app', '1', { layers: [LARGE, 400_000] });
  await askFor('app', old.digests);
  const { digests } = await push('app', '2', { layers: [LARGE, 400_000] });
  await until(() => makes('app').length === 1);
  const [job] = makes('app');
  deepEqual([job?.to, job?.reason, job?.candidates], [digests[0], 'ahead', old.digests]);
  const ready = async () =>
    (await layer.ask({ ...questionFor('app', digests[0]!, old.digests), layers: digests }))[0]?.state;
  await until(async () => (await ready()) === 'delta');
  equal(makes('app').length, 1);
});

test('nothing is made in a repository of which no child asks, nor of what it has already', async () => {
  await push('quiet', '1', { layers: [LARGE] });
  await push('quiet', '2', { layers: [LARGE] });
  const same = { seed: 'the same', size: LARGE };
  const { digests } = await push('same', '1', { layers: [same] });
  await askFor('same', digests);
  await push('same', '2', { layers: [same, 400_000] });
  const last = await push('last', '1', { layers: [LARGE] });
  await askFor('last', last.digests);
  await push('last', '2', { layers: [LARGE] });
  await until(() => makes('last').length === 1);
  deepEqual([makes('quiet'), makes('same')], [[], []]);
});

test('of an index, each image is compared with the one that shares the largest number of layers', async () => {
  const [a, b] = ['amd64', 'arm64'].map((architecture) => ({ seed: architecture, size: 300_000 }));
  const arm = await push('many', 'arm', { layers: [b!, LARGE] });
  const amd = await push('many', 'amd', { layers: [a!, LARGE + 1] });
  await askFor('many', arm.digests);
  await askFor('many', amd.digests);
  const next = [
    await push('many', undefined, { layers: [a!, LARGE + 2] }),
    await push('many', undefined, { layers: [b!, LARGE + 3] }),
  ];
  const manifests = next.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  await pushManifest(host, 'many', 'latest', mediaTypes.ociIndex, index);
  await until(() => makes('many').length === 2);
  const candidates = Object.fromEntries(makes('many').map((job) => [job.to, job.candidates[0]]));
  deepEqual(candidates, { [next[0]!.digests[1]!]: amd.digests[1], [next[1]!.digests[1]!]: arm.digests[1] });
});

test('two jobs at most are in the queue, and none while a child waits for another', async () => {
  mustHold = true;
  const old = await push('queued', '1', { layers: [LARGE, LARGE + 1, LARGE + 2, LARGE + 3] });
  const [asked, base] = [await layer.blob('asked'), await layer.blob('asked')];
  const waiting = layer.ask(questionFor('asked', asked, [base], { wait: 50 }));
  await until(() => makes('asked').length === 1);
  await askFor('queued', old.digests);
  await push('queued', '2', { layers: [LARGE, LARGE + 1, LARGE + 2, LARGE + 3] });
  const blob = await layer.blob('asked');
  equal((await layer.ask(questionFor('asked', blob, [base])))[0]?.state, 'making');
  deepEqual(makes('queued'), []);
  const next = async () => {
    await until(() => held.length > 0);
    held.shift()?.();
  };
  for (let n = 0; n < 2; n += 1) await next();
  equal((await waiting)[0]?.state, 'delta');
  await until(() => makes('queued').length === 1);
  ok((await layer.syncer.backlog('make')) <= 2);
  for (let n = 0; n < 4; n += 1) await next();
  await until(() => makes('queued').length === 4);
  mustHold = false;
});

test('nothing is made ahead while deltas are off', async () => {
  const old = await push('off', '1', { layers: [LARGE] });
  await askFor('off', old.digests);
  rig.configuration = { delta: { mode: 'off' } } as Configuration;
  await push('off', '2', { layers: [LARGE] });
  rig.configuration = undefined;
  const on = await push('on', '1', { layers: [LARGE] });
  await askFor('on', on.digests);
  await push('on', '2', { layers: [LARGE] });
  await until(() => makes('on').length === 1);
  deepEqual(makes('off'), []);
});
