import { deepEqual, equal, match } from 'node:assert/strict';
import { after, test } from 'node:test';
import { linkBlobs } from '#proto/content/blobs.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { BasesAnswer, DeltaQuestion } from '#proto/sync/delta-exchange.ts';
import { type DeltaJob, deltaApplied } from '#proto/sync/delta-jobs.ts';
import { until } from '../../support/until.ts';
import { ALL, basic, on, Tokens } from '../accounts.ts';
import { sha256 } from '../gateway-rig.ts';
import { DeltaLayer, questionFor } from './delta-layer.ts';

/** A child pushes a delta of what this layer holds, instead of a blob. */

const layer = await DeltaLayer.start();
after(() => layer[Symbol.asyncDispose]());
const { rig } = layer;
const tokens = await Tokens.of(rig);
const admin = basic('admin', await tokens.create('admin', on('*', ...ALL)));
const pusher = basic('pusher', await tokens.create('pusher', on('app', 'content/read', 'content/write')));
const reader = basic('reader', await tokens.create('reader', on('*', 'content/read')));

/** Applies a delta to a target that the layer has elsewhere: links it. */
const applyByLink = async (job: DeltaJob): Promise<void> => {
  if (job.kind !== 'apply') throw new Error('not such a job');
  const { repository, delta } = job;
  const { to, toSize, from, digest, size } = delta;
  await layer.syncer.call(linkBlobs, { repository, digests: [to] });
  const about = { repository, to, toSize, from, digest, size, syncer: 's' };
  layer.syncer.publish(deltaApplied, { ...about, cpuMs: 1, ms: 1 });
};
let outcome = applyByLink;
let release = Promise.resolve();
layer.work(async (job) => {
  await release;
  await outcome(job);
});

const [base, secret] = [await layer.blob('app', 300_000, admin), await layer.blob('secret', 300_000, admin)];
/** A blob that the layer can only have from this delta: `applyByLink` has it already. */
const target = () => layer.blob('elsewhere', 300_000, admin);
const bases = async (more: Partial<DeltaQuestion>, login: Record<string, string>): Promise<BasesAnswer> => {
  const response = await layer.post('/bases', { ...questionFor('app', base, []), ...more }, login);
  return (await response.json()) as BasesAnswer;
};
const apply = (delta: HeldDelta, { repository = 'app', wait = 20, login = pusher } = {}) =>
  layer.apply({ repository, delta, wait }, login);

test('the child learns which blobs are here, and of which bases that it may pull a delta may be made', async () => {
  const absent = sha256('absent');
  const wanted = [base, secret, absent].map((digest) => ({ digest, size: 300_000 }));
  const question = { wanted, held: [[secret, base], [absent]] };
  deepEqual(await bases(question, pusher), { present: [base], held: [base] });
  deepEqual(await bases(question, admin), { present: [base], held: [secret, base] });
  for (const none of [reader, basic('other', await tokens.create('other', on('app', 'content/write')))]) {
    deepEqual(await bases(question, none), { present: [], held: [] });
  }
  deepEqual(await bases({ ...question, formats: [9] }, pusher), { present: [], held: [] });
});

test('a pushed delta is applied; the answer comes when its target is in the repository', async () => {
  const to = await target();
  const delta = await layer.pushDelta('app', to, [base], pusher);
  const applied = await apply(delta);
  equal(applied.status, 201);
  equal(applied.headers.get('docker-content-digest'), to);
  equal((await rig.fetch('HEAD', `/v2/app/blobs/${to}`, { headers: pusher })).status, 200);
  equal(layer.jobs.length, 1);
  equal((await apply(delta)).status, 201, 'again: it is there');
  equal(layer.jobs.length, 1);
  const audited = rig.logged.filter(
    ({ audit, digest, repository }) => audit && digest === to && repository === 'app',
  );
  deepEqual(
    audited.map(({ action, status, token }) => ({ action, status, token })),
    Array(2).fill({ action: 'content/write', status: 201, token: 'pusher' }),
  );
});

test('an answer that would come too late is asked for again, and the delta is applied once', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  release = promise;
  const to = await target();
  const delta = await layer.pushDelta('app', to, [base], pusher);
  const before = layer.jobs.length;
  equal((await apply(delta, { wait: 0 })).status, 202);
  equal((await apply(delta, { wait: 0 })).status, 202);
  const waiting = apply(delta);
  resolve();
  equal((await waiting).status, 201);
  equal(layer.jobs.length, before + 1);
});

test('a layer that becomes ReadOnly while a push waits refuses it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  release = promise;
  outcome = layer.fail;
  const delta = await layer.pushDelta('app', await target(), [base], pusher);
  const before = layer.jobs.length;
  const waiting = apply(delta);
  await until(() => layer.jobs.length > before);
  rig.mode = 'ReadOnly';
  resolve();
  equal((await waiting).status, 403);
  rig.mode = 'ReadWrite';
  outcome = applyByLink;
});

test('a delta that can not be applied is refused with the reason; its target is not there', async () => {
  outcome = layer.fail;
  const to = await target();
  const delta = await layer.pushDelta('app', to, [base], pusher);
  const refused = await apply(delta);
  equal(refused.status, 422);
  match(await refused.text(), /the data volume is full/);
  equal((await apply(delta)).status, 422, 'again');
  equal((await rig.fetch('HEAD', `/v2/app/blobs/${to}`, { headers: pusher })).status, 404);
  outcome = applyByLink;
});

test('a delta is refused without its blob, without its base, with another size, or without the rights', async () => {
  const to = await target();
  const before = layer.jobs.length;
  const delta = await layer.pushDelta('app', to, [base], pusher);
  const refused = async (changed: Partial<HeldDelta>, status: number, login = pusher) => {
    const response = await apply({ ...delta, ...changed }, { login });
    equal(response.status, status, JSON.stringify(changed));
  };
  await refused({ digest: sha256('none') }, 404);
  await refused({ from: [secret] }, 404);
  await refused({ from: [base, sha256('none')] }, 404);
  await refused({ size: 999 }, 400);
  await refused({ format: 9 }, 400);
  await refused({ from: [] }, 400);
  await refused({}, 403, reader);
  equal(layer.jobs.length, before);
});

test('nothing is applied in a ReadOnly layer, or while deltas are off', async () => {
  const to = await target();
  const delta = await layer.pushDelta('app', to, [base], pusher);
  const question = { held: [[base]] };
  rig.mode = 'ReadOnly';
  equal((await apply(delta)).status, 403);
  equal((await layer.post('/bases', questionFor('app', base, [base]), pusher)).status, 403);
  rig.mode = 'ReadWrite';
  rig.configuration = { delta: { mode: 'off' } } as Configuration;
  equal((await apply(delta)).status, 403);
  deepEqual(await bases(question, pusher), { present: [], held: [] });
  rig.configuration = undefined;
  deepEqual((await bases(question, pusher)).held, [base]);
});
