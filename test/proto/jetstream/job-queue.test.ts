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
import { transferBlob } from '#proto/sync/transfers.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

/** When a job goes out again, and when it is dropped. */

/** One job in a line, which comes back after whatever is said of it, until it is confirmed or ended. */
function rig() {
  const said: string[] = [];
  const dropped: Dropped[] = [];
  let deliveries = 0;
  let over = false;
  const line: JobQueueDeps = {
    submit: async () => {},
    pull: async () => {
      if (over) return undefined;
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
      over = true;
    },
    publish: (_token, word) => {
      said.push(word);
      if (word === '+TERM') over = true;
    },
    count: async () => (over ? 0 : 1),
  };
  const queue = new JobQueue('down', line, (one) => dropped.push(one), quiet);
  const take = async () => (await queue.take()) as Taken;
  return { queue, take, said, dropped };
}
const failed = { kind: 'failed', reason: 'it can not be done', final: false } as const;

test('a job that nobody can do goes out a few times, each time later, and is then dropped and told', async () => {
  const { queue, take, said, dropped } = rig();
  for (let attempt = 0; attempt < MAX_JOB_FAILURES; attempt += 1) {
    const { token, attempt: told } = await take();
    assert.equal(told, attempt);
    await queue.settle(token, failed);
  }
  assert.equal(await queue.take(), undefined);
  const rests = said.slice(0, -1).map((word) => JSON.parse(word.replace('-NAK ', '')).delay / 1_000_000);
  assert.equal(rests.length, MAX_JOB_FAILURES - 1);
  for (const [index, ms] of rests.entries()) {
    assert.ok(
      Number.isInteger(ms) && ms >= Math.min(30_000, 2_000 * 2 ** index) && ms <= 60_000,
      String(rests),
    );
  }
  assert.equal(said.at(-1), '+TERM');
  assert.deepEqual(dropped, [{ queue: 'down', attempts: MAX_JOB_FAILURES, reason: failed.reason }]);
});

test('one whose body can not be read is dropped at once', async () => {
  const { queue, take, said, dropped } = rig();
  const { token } = await take();
  await queue.settle(token, { ...failed, final: true });
  assert.deepEqual(said, ['+TERM']);
  assert.equal(dropped.length, 1);
});

test('one that is given back without a failure goes out however often, as does one whose worker works on', async () => {
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

test('one that takes every worker with it is dropped, and one that a worker was killed with is not', async () => {
  const { queue, take, dropped } = rig();
  for (let round = 0; round < MAX_LOST; round += 1) await take();
  assert.equal(dropped.length, 0);
  assert.equal(await queue.take(), undefined);
  const reason = `${MAX_LOST} workers took the job and did not acknowledge it`;
  assert.deepEqual(dropped, [{ queue: 'down', attempts: MAX_LOST + 1, reason }]);
});

test('nothing but a job of the queue is settled', async () => {
  const { queue, said } = rig();
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
  assert.deepEqual(said, []);
});

test('a worker that waits for a job ends when it is told to, not when the queue has answered; a late job is given back', async () => {
  const late = Promise.withResolvers<Taken | undefined>();
  const asked = Promise.withResolvers<void>();
  const settled: unknown[] = [];
  const queue: Queue = {
    submit: async () => {},
    take: () => {
      asked.resolve();
      return late.promise;
    },
    settle: async (...outcome) => void settled.push(outcome),
    backlog: async () => 0,
  };
  const end = new AbortController();
  const jobs = new Jobs({ queue: () => queue, closed: new AbortController().signal }, quiet);
  const working = jobs.work('down', transferBlob.down, end.signal, async () => 'done');
  await asked.promise;
  end.abort();
  await working;
  late.resolve({ token: 'one', attempt: 0, bytes: new Uint8Array() });
  await until(() => settled.length > 0);
  assert.deepEqual(settled, [['one', { kind: 'again', ms: 0 }]]);
});

test('who asks for a job bears a silence longer than the wait for one; what comes when it has given up is given back', async () => {
  const asked: { subject: string; query: unknown; options: CallOptions | undefined }[] = [];
  const store = storeBy(async ({ subject }, query, options) => {
    asked.push({ subject, query, options });
    throw new Fault('unavailable', 'not answered');
  }, 0);
  await assert.rejects(store.queue('down').take(), /not answered/);
  const { silenceMs = 0, late } = asked[0]?.options ?? {};
  assert.ok(silenceMs > TAKE_MS);
  const taken = { token: 'one', attempt: 0, bytes: new Uint8Array([1]) };
  for (const answer of [{}, { taken }]) late?.({ data: pack(takeJob.reply, answer) });
  late?.({ data: new Uint8Array() });
  const given = asked.slice(1).map(({ subject, query }) => ({ subject, query }));
  const outcome = { kind: 'again', ms: 0 };
  assert.deepEqual(given, [{ subject: settleJob.subject, query: { queue: 'down', token: 'one', outcome } }]);
});
