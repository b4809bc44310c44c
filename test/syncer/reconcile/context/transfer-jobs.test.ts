import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';
import { TransferJobs } from '../../../../services/syncer/reconcile/context/transfer-jobs.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const digest = `sha256:${'a'.repeat(64)}` as Digest;

/** A queue whose jobs end at once, with the outcome of their repository. */
function queue(outcome: (repository: string) => string) {
  const repositories: string[] = [];
  const jobs: Partial<TransferJob>[] = [];
  const handlers = new Map<string, (event: unknown) => void>();
  const bus = {
    listen: ({ type }: { type: string }, handler: (event: unknown) => void) => {
      handlers.set(type, handler);
      return () => {};
    },
    submit: async (_: unknown, body: TransferJob) => {
      repositories.push(body.repository);
      jobs.push(body);
      const code = outcome(body.repository);
      const data = { ...body, code, reason: body.repository, status: 413 };
      const type = { done: 'finished', paused: 'paused' }[code] ?? 'failed';
      setImmediate(() => handlers.get(`transfer.${type}`)?.({ data }));
    },
  };
  return { bus: bus as unknown as Bus, repositories, jobs };
}

test('a blob that one repository of the parent lacks is pulled from another', async () => {
  const { bus, repositories } = queue((repository) => (repository === 'a' ? 'blob-unknown' : 'done'));
  using transferJobs = new TransferJobs(bus, log, 'pass', new AbortController().signal);
  const results = await Promise.allSettled(
    ['a', 'b', 'a', 'c'].map((repository) => transferJobs.download({ repository, digest, size: 1 })),
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(repositories, ['a', 'b']);
});

test('while the parent is unreachable, a blob is not requested again from another repository', async () => {
  const { bus, repositories } = queue(() => 'parent-unreachable');
  using transferJobs = new TransferJobs(bus, log, 'pass', new AbortController().signal);
  const results = await Promise.allSettled(
    ['a', 'b'].map((repository) => transferJobs.download({ repository, digest, size: 1 })),
  );
  assert.ok(results.every(({ status }) => status === 'rejected'));
  assert.deepEqual(repositories, ['a']);
});

test('a pull after the end of the pass fails at once', async () => {
  const end = new AbortController();
  using transferJobs = new TransferJobs(queue(() => 'done').bus, log, 'pass', end.signal);
  end.abort(new Error('ended'));
  await assert.rejects(transferJobs.download({ repository: 'a', digest, size: 1 }), /ended/);
});

const { signal } = new AbortController();

test('a blob for several repositories of the parent is uploaded to one and mounted in the others', async () => {
  const { bus, jobs } = queue(() => 'done');
  using transferJobs = new TransferJobs(bus, log, 'pass', signal, 1_000);
  await Promise.all(
    ['a', 'b', 'a', 'c'].map((repository) =>
      transferJobs.upload({ repository, digest, size: 1, from: ['z'] }),
    ),
  );
  assert.deepEqual(
    jobs.map(({ repository, from, until, direction }) => [repository, from, until, direction]),
    [
      ['a', ['z'], 1_000, 'up'],
      ['b', ['a', 'z'], 1_000, 'up'],
      ['c', ['b', 'a', 'z'], 1_000, 'up'],
    ],
  );
});

test('a blob that the parent refused in one repository is pushed to the next one without a mount', async () => {
  const { bus, jobs } = queue((repository) => (repository === 'a' ? 'parent-refused' : 'done'));
  using transferJobs = new TransferJobs(bus, log, 'pass', signal);
  const [first, second] = await Promise.allSettled(
    ['a', 'b'].map((repository) => transferJobs.upload({ repository, digest, size: 1 })),
  );
  assert.ok(first?.status === 'rejected' && second?.status === 'fulfilled');
  assert.deepEqual([first.reason.code, first.reason.detail], ['parent-refused', { status: 413 }]);
  assert.deepEqual(jobs[1]?.from, []);
});

test('a transfer that pauses when the window closes fails with window-closed', async () => {
  const { bus } = queue(() => 'paused');
  using transferJobs = new TransferJobs(bus, log, 'pass', signal, 1_000);
  await assert.rejects(transferJobs.upload({ repository: 'a', digest, size: 1 }), { code: 'window-closed' });
  await assert.rejects(transferJobs.download({ repository: 'a', digest, size: 1 }), {
    code: 'window-closed',
  });
});

test('one blob may be pulled and pushed at the same time', async () => {
  const { bus, jobs } = queue(() => 'done');
  using transferJobs = new TransferJobs(bus, log, 'pass', signal);
  const wanted = { repository: 'a', digest, size: 1 };
  await Promise.all([transferJobs.upload(wanted), transferJobs.download(wanted)]);
  assert.deepEqual(
    jobs.map(({ direction }) => direction),
    ['up', 'down'],
  );
});
