import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CallOptions } from '#proto/bus/calls.ts';
import { Jobs } from '#proto/bus/jobs.ts';
import { storeBy } from '#proto/bus/store-client.ts';
import { pack } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import {
  type Dropped,
  JobQueue,
  type JobQueueDeps,
  MAX_JOB_FAILURES,
  MAX_LOST,
} from '#proto/jetstream/job-queue.ts';
import type { Queue, Taken } from '#proto/jetstream/store.ts';
import { settleJob, TAKE_MS, takeJob } from '#proto/jetstream/store-requests.ts';
import { consumers } from '#proto/jetstream/streams.ts';
import { transferBlob } from '#proto/sync/transfers.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

/** When a job is redelivered, and when it is dropped. */

/** A queue with one job, which is redelivered after every outcome until it is confirmed or terminated. */
function rig() {
  const sent: string[] = [];
  const dropped: Dropped[] = [];
  let deliveries = 0;
  let ended = false;
  const deps: JobQueueDeps = {
    submit: async () => {},
    pull: async () => {
      if (ended) return undefined;
      deliveries += 1;
      const token = `$JS.ACK.JOBS.down.${deliveries}.7.${deliveries}.1700000000000000000.0`;
      const shape = {
        sequence: 7,
        subject: 'jobs.transfer.down',
        delivered: deliveries,
        deliveries,
        pending: 0,
        size: 0,
      };
      return { ...shape, data: new Uint8Array(), token };
    },
    confirm: async () => {
      ended = true;
    },
    publish: (_token, word) => {
      sent.push(word);
      if (word === '+TERM') ended = true;
    },
    count: async () => (ended ? 0 : 1),
  };
  const queue = new JobQueue('down', deps, (drop) => dropped.push(drop), quiet);
  const take = async () => (await queue.take()) as Taken;
  return { queue, take, sent, dropped };
}
const failed = { kind: 'failed', reason: 'it can not be done', final: false } as const;

test('a job that no worker can do is redelivered with backoff, then dropped, and the drop is reported', async () => {
  const { queue, take, sent, dropped } = rig();
  for (let attempt = 0; attempt < MAX_JOB_FAILURES; attempt += 1) {
    const taken = await take();
    assert.equal(taken.attempt, attempt);
    await queue.settle(taken.token, failed);
  }
  assert.equal(await queue.take(), undefined);
  const delays = sent.slice(0, -1).map((word) => JSON.parse(word.replace('-NAK ', '')).delay / 1_000_000);
  assert.equal(delays.length, MAX_JOB_FAILURES - 1);
  for (const [index, ms] of delays.entries()) {
    assert.ok(
      Number.isInteger(ms) && ms >= Math.min(30_000, 2_000 * 2 ** index) && ms <= 60_000,
      String(delays),
    );
  }
  assert.equal(sent.at(-1), '+TERM');
  assert.deepEqual(dropped, [{ queue: 'down', attempts: MAX_JOB_FAILURES, reason: failed.reason }]);
});

test('a job with an unreadable body is dropped at once', async () => {
  const { queue, take, sent, dropped } = rig();
  const { token } = await take();
  await queue.settle(token, { ...failed, final: true });
  assert.deepEqual(sent, ['+TERM']);
  assert.equal(dropped.length, 1);
});

test('a job returned without a failure, or still in progress, is redelivered without a limit', async () => {
  const { queue, take, dropped } = rig();
  for (let round = 0; round < 10 * MAX_LOST; round += 1) {
    const { token } = await take();
    await queue.settle(token, { kind: 'working' });
    await queue.settle(token, { kind: 'again', ms: 10 });
  }
  const { token } = await take();
  await queue.settle(token, { kind: 'done' });
  assert.equal(await queue.backlog(), 0);
  assert.deepEqual(dropped, []);
});

test('a job is dropped only after MAX_LOST workers took it and did not acknowledge it', async () => {
  const { queue, take, dropped } = rig();
  for (let round = 0; round < MAX_LOST; round += 1) await take();
  assert.equal(dropped.length, 0);
  assert.equal(await queue.take(), undefined);
  const reason = `${MAX_LOST} workers took the job and did not acknowledge it`;
  assert.deepEqual(dropped, [{ queue: 'down', attempts: MAX_LOST + 1, reason }]);
});

test('settle accepts the tokens of every queue', async () => {
  for (const name of Object.keys(consumers)) {
    const { queue, sent } = rig();
    await queue.settle(`$JS.ACK.JOBS.${name}.1.7.1.1700000000000000000.0`, { kind: 'working' });
    assert.equal(sent.length, 1, name);
  }
});

test('settle accepts only tokens that the queue issued', async () => {
  const { queue, sent } = rig();
  for (const token of [
    '',
    '$JS.API.STREAM.DELETE.EVENTS',
    '$JS.ACK.EVENTS.down.1.1.1.1.0',
    '$JS.ACK.JOBS.other.1.1.1.1.0',
    '$JS.ACK.JOBS.down.1.1.1.1',
    '$JS.ACK.JOBS.down.1.1.1.1.0 x',
    'storage.scrub.run',
  ]) {
    await assert.rejects(queue.settle(token, { kind: 'done' }), /token: not issued by the queue/);
  }
  assert.deepEqual(sent, []);
});

test('a waiting worker ends when aborted, without awaiting the queue; a job that arrives late is returned', async () => {
  const late = Promise.withResolvers<Taken | undefined>();
  const requested = Promise.withResolvers<void>();
  const settled: unknown[] = [];
  const queue: Queue = {
    submit: async () => {},
    take: () => {
      requested.resolve();
      return late.promise;
    },
    settle: async (...outcome) => void settled.push(outcome),
    backlog: async () => 0,
  };
  const end = new AbortController();
  const jobs = new Jobs({ queue: () => queue, closed: new AbortController().signal }, quiet);
  const working = jobs.work('down', transferBlob.down, end.signal, async () => 'done');
  await requested.promise;
  end.abort();
  await working;
  late.resolve({ token: 'one', attempt: 0, bytes: new Uint8Array() });
  await until(() => settled.length > 0);
  assert.deepEqual(settled, [['one', { kind: 'again', ms: 0 }]]);
});

test("a request for a job times out after the queue's own wait; a job that arrives later is returned", async () => {
  const requests: { subject: string; query: unknown; options: CallOptions | undefined }[] = [];
  const store = storeBy(async ({ subject }, query, options) => {
    requests.push({ subject, query, options });
    throw new Fault('unavailable', 'not answered');
  }, 0);
  await assert.rejects(store.queue('down').take(), /not answered/);
  const { silenceMs = 0, late } = requests[0]?.options ?? {};
  assert.ok(silenceMs > TAKE_MS);
  const taken = { token: 'one', attempt: 0, bytes: new Uint8Array([1]) };
  for (const answer of [{}, { taken }]) late?.({ data: pack(takeJob.reply, answer) });
  late?.({ data: new Uint8Array() });
  const returned = requests.slice(1).map(({ subject, query }) => ({ subject, query }));
  const outcome = { kind: 'again', ms: 0 };
  assert.deepEqual(returned, [
    { subject: settleJob.subject, query: { queue: 'down', token: 'one', outcome } },
  ]);
});
