import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { locateBlob } from '#proto/content/blobs.ts';
import { type HeldDelta, refuseDelta } from '#proto/content/deltas.ts';
import { claimTransfer, commitBlob } from '#proto/content/ingests.ts';
import type { Static } from '#proto/contract/schema.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { DELTAS_PATH } from '#proto/sync/delta-exchange.ts';
import { type DeltaJob, deltaApplied } from '#proto/sync/delta-jobs.ts';
import { getSession, storeSession } from '#proto/sync/outgoing.ts';
import { type TransferJob, transferFinished } from '#proto/sync/transfers.ts';
import { Volume } from '#proto/volume/volume.ts';
import { TransferCounters } from '../../../services/syncer/counters/transfer-counters.ts';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { PushClient } from '../../../services/syncer/link/parent/push-client.ts';
import { ParentDeltas } from '../../../services/syncer/link/terrace/parent-deltas.ts';
import { SendRate } from '../../../services/syncer/transfer/pace/send-rate.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';
import type { DeltaPusher } from '../../../services/syncer/transfer/upload-delta-steps.ts';
import { runUpload } from '../../../services/syncer/transfer/worker.ts';
import { DeltaLayer } from '../../gateway/deltas/delta-layer.ts';
import { quiet } from '../../support/bus.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import { until } from '../../support/until.ts';
import { quietActivity } from './quiet-activity.ts';

/** Uploads with a delta: it crosses the link, and the parent applies it. If any of that fails, the blob crosses. */

const SIZE = 300_000;
const stack = new AsyncDisposableStack();
const layer = stack.use(await DeltaLayer.start());
const parent = stack.use(await DeltaLayer.start());
const proxy = stack.use(await startProxy(parent.rig.url));
after(() => stack.disposeAsync());

/** Targets by digest, which the parent's syncer knows to make of their deltas. */
const targets = new Map<string, Buffer>();
const applied: string[] = [];

/** As the parent's syncer applies a delta. */
async function apply(job: DeltaJob): Promise<void> {
  if (job.kind !== 'apply') throw new Error('not such a job');
  const { repository, delta } = job;
  const { to, toSize, from, digest, size } = delta;
  const { syncer } = parent;
  const claim = await syncer.call(claimTransfer, { repository, digest: to, size: toSize, by: 's' });
  {
    await using file = await new Volume(parent.rig.data).openIngest(claim);
    await file.write([targets.get(to)!], 0);
  }
  await syncer.call(commitBlob, { id: claim.id, claim: claim.claim, digest: to, size: toSize, repository });
  applied.push(digest);
  const about = { repository, to, toSize, from, digest, size, syncer: 's' };
  syncer.publish(deltaApplied, { ...about, cpuMs: 1, ms: 1 });
}
let outcome = apply;
/** Times of blobs, in ms, with which the time of an application was bounded. */
const predicted: (number | undefined)[] = [];
parent.work((job) => outcome(job));

/** A blob here, of which the parent has the base, and a delta to it. */
async function updated(repository: string): Promise<{ to: string; delta: HeldDelta }> {
  const bytes = Buffer.alloc(SIZE, repository);
  const to = await layer.rig.blob(repository, bytes);
  targets.set(to, bytes);
  const base = await parent.blob(repository);
  const { bytes: _bytes, ...delta } = await layer.keep(repository, to, [base]);
  return { to, delta };
}

async function upload(
  repository: string,
  digest: string,
  delta: HeldDelta,
  { applyMs = 30_000, pusher }: { applyMs?: number; pusher?: DeltaPusher } = {},
) {
  await using link = new ParentLink({ url: proxy.url });
  const counters = new TransferCounters();
  const { syncer } = layer;
  const finished: Static<typeof transferFinished.data>[] = [];
  const unlisten = syncer.listen(transferFinished, ({ data }) => void finished.push(data));
  const activity = quietActivity(counters);
  const pushClient = new PushClient(link);
  const deltas = new ParentDeltas(link, { deltas: [DELTA_FORMAT] });
  const job: TransferJob = { repository, digest, size: SIZE, direction: 'up', pass: 'p', delta };
  const before = proxy.requests.length;
  const verdict = await runUpload(
    {
      ...{ bus: syncer, volume: new Volume(layer.rig.data), activity, log: quiet, by: 's' },
      ...{ slots: new Slots(2), pace: new SendRate(), graceMs: 1_000, signal: new AbortController().signal },
      pushClient: async () => pushClient,
      pusher: async () => pusher ?? deltas,
      applyMs: (blobMs?: number) => {
        predicted.push(blobMs);
        return applyMs;
      },
    },
    job,
  );
  await until(() => finished.some((data) => data.digest === digest));
  unlisten();
  assert.equal(verdict, 'done');
  const requests = proxy.requests.slice(before);
  const bytes = requests
    .filter(({ path }) => path.includes('/blobs/'))
    .reduce((sum, { received }) => sum + received, 0);
  const [end] = finished.filter((data) => data.digest === digest);
  return { end, bytes, requests, counters };
}

const hasTarget = (repository: string, digest: string) =>
  parent.syncer.call(locateBlob, { repository, digest }).then(
    ({ size }) => size === SIZE,
    () => false,
  );

test('the delta crosses the link, and the parent makes the blob of it', async () => {
  const { to, delta } = await updated('app/a');
  const { end, bytes, counters } = await upload('app/a', to, delta);
  assert.equal(await hasTarget('app/a', to), true);
  assert.equal(bytes, delta.size);
  assert.deepEqual(applied, [delta.digest]);
  assert.deepEqual(end?.saved, { by: 'delta', bytes: SIZE - delta.size });
  assert.deepEqual(end?.delta, { digest: delta.digest, size: delta.size });
  assert.deepEqual(counters.up.saved.delta, { transfers: 1, bytes: SIZE - delta.size, cpuMs: 0 });
});

test('a blob that the parent has by now needs neither', async () => {
  const { to, delta } = await updated('app/b');
  await parent.rig.blob('app/b', targets.get(to)!);
  const { end, bytes } = await upload('app/b', to, delta);
  assert.deepEqual([bytes, end?.saved], [0, undefined]);
});

test('a delta that was sent before is not sent again', async () => {
  const { to, delta } = await updated('app/c');
  const { promise, resolve } = Promise.withResolvers<void>();
  outcome = async (job) => {
    await promise;
    await apply(job);
  };
  // The first request for the application is cut, and the next ones find it running.
  let cuts = 1;
  proxy.fault(({ path }) => (path.endsWith('/apply') && cuts-- > 0 ? { drop: true } : undefined));
  const uploading = upload('app/c', to, delta);
  await proxy.until(() => proxy.requests.filter(({ path }) => path.endsWith('/apply')).length > 1);
  resolve();
  const { bytes } = await uploading;
  proxy.fault(() => undefined);
  outcome = apply;
  assert.equal(bytes, delta.size);
  assert.equal(await hasTarget('app/c', to), true);
});

test('a delta that the parent can not apply, or not in time, is followed by the blob itself', async () => {
  const refused = await updated('app/d');
  outcome = parent.fail;
  const first = await upload('app/d', refused.to, refused.delta);
  assert.equal(await hasTarget('app/d', refused.to), true);
  assert.equal(first.bytes, refused.delta.size + SIZE);
  assert.deepEqual([first.end?.saved, first.end?.delta], [undefined, undefined]);
  const late = await updated('app/e');
  const { promise, resolve } = Promise.withResolvers<void>();
  outcome = () => promise;
  predicted.length = 0;
  const second = await upload('app/e', late.to, late.delta, { applyMs: 1_000 });
  assert.ok((predicted[0] ?? 0) > 0, `${predicted}`);
  resolve();
  outcome = apply;
  assert.equal(await hasTarget('app/e', late.to), true);
  assert.equal(second.bytes, late.delta.size + SIZE);
});

test('a delta that was deleted here is not needed', async () => {
  const { to, delta } = await updated('app/f');
  await layer.syncer.call(refuseDelta, { to, from: delta.from, format: DELTA_FORMAT, reason: 'wrong' });
  const { bytes, requests } = await upload('app/f', to, delta);
  assert.equal(await hasTarget('app/f', to), true);
  assert.equal(bytes, SIZE);
  assert.deepEqual(
    requests.filter(({ path }) => path.startsWith(DELTAS_PATH)),
    [],
  );
});

test('a parent that does not wait is not asked in quick succession for the application', async () => {
  const { to, delta } = await updated('app/g');
  let asked = 0;
  const pusher = {
    apply: async () => {
      asked += 1;
      return false;
    },
  };
  await upload('app/g', to, delta, { applyMs: 1_500, pusher });
  assert.equal(await hasTarget('app/g', to), true);
  assert.ok(asked <= 3, `${asked} requests`);
});

/** What is left of the upload of a delta: at the parent, and here. */
async function left(repository: string, { digest }: HeldDelta) {
  const ingests = await readdir(join(parent.rig.data, 'ingest')).catch((): string[] => []);
  return { ingests, session: await layer.syncer.call(getSession, { repository, digest }) };
}
const NOTHING = { ingests: [], session: {} };

test('a delta whose upload was given up leaves nothing at the parent, nor here', async () => {
  const { to, delta } = await updated('app/h');
  proxy.fault(({ query }) =>
    query.get('digest') === delta.digest ? { answer: { status: 403 } } : undefined,
  );
  const { end } = await upload('app/h', to, delta);
  proxy.fault(() => undefined);
  assert.equal(end?.saved, undefined);
  assert.equal(await hasTarget('app/h', to), true);
  assert.deepEqual(await left('app/h', delta), NOTHING);
});

test('of a delta that a killed process has begun to send, nothing is left once the blob is there', async () => {
  const { to, delta } = await updated('app/i');
  const { headers } = await parent.rig.fetch('POST', '/v2/app/i/blobs/uploads/');
  const location = headers.get('location') as string;
  await parent.rig.fetch('PATCH', location, { body: Buffer.alloc(100) });
  const { digest } = delta;
  await layer.syncer.call(storeSession, { repository: 'app/i', digest, location, offset: 100 });
  assert.equal((await left('app/i', delta)).ingests.length, 1);
  await parent.rig.blob('app/i', targets.get(to)!);
  await upload('app/i', to, delta);
  assert.deepEqual(await left('app/i', delta), NOTHING);
});
