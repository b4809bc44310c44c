import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';
import { Arrivals } from '../../../../services/syncer/reconcile/context/arrivals.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const digest = `sha256:${'a'.repeat(64)}` as Digest;

/** A queue whose jobs end at once as `outcome` says of each repository. */
function queue(outcome: (repository: string) => string) {
  const wished: string[] = [];
  const jobs: Partial<TransferJob>[] = [];
  const parentChanges = new Map<string, (event: unknown) => void>();
  const bus = {
    listen: ({ type }: { type: string }, handler: (event: unknown) => void) => {
      parentChanges.set(type, handler);
      return () => {};
    },
    submit: async (_: unknown, body: TransferJob) => {
      wished.push(body.repository);
      jobs.push(body);
      const code = outcome(body.repository);
      const data = { ...body, code, reason: body.repository, status: 413 };
      const type = { done: 'finished', paused: 'paused' }[code] ?? 'failed';
      setImmediate(() => parentChanges.get(`transfer.${type}`)?.({ data }));
    },
  };
  return { bus: bus as unknown as Bus, wished, jobs };
}

test('a blob that one repository does not give is asked of another one that has it', async () => {
  const { bus, wished } = queue((repository) => (repository === 'a' ? 'blob-unknown' : 'done'));
  using arrivals = new Arrivals(bus, log, 'pass', new AbortController().signal);
  const results = await Promise.allSettled(
    ['a', 'b', 'a', 'c'].map((repository) => arrivals.pull({ repository, digest, size: 1 })),
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(wished, ['a', 'b']);
});

test('a link that is away is not tried again for each repository', async () => {
  const { bus, wished } = queue(() => 'parent-unreachable');
  using arrivals = new Arrivals(bus, log, 'pass', new AbortController().signal);
  const results = await Promise.allSettled(
    ['a', 'b'].map((repository) => arrivals.pull({ repository, digest, size: 1 })),
  );
  assert.ok(results.every(({ status }) => status === 'rejected'));
  assert.deepEqual(wished, ['a']);
});

test('nothing is waited for once the pass was ended', async () => {
  const end = new AbortController();
  using arrivals = new Arrivals(queue(() => 'done').bus, log, 'pass', end.signal);
  end.abort(new Error('ended'));
  await assert.rejects(arrivals.pull({ repository: 'a', digest, size: 1 }), /ended/);
});

const { signal } = new AbortController();

test('a blob for several repositories of the parent goes up once, and is mounted in the others', async () => {
  const { bus, jobs } = queue(() => 'done');
  using arrivals = new Arrivals(bus, log, 'pass', signal, 1_000);
  await Promise.all(
    ['a', 'b', 'a', 'c'].map((repository) => arrivals.send({ repository, digest, size: 1, from: ['z'] })),
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

test('one that is refused in one repository is sent to the next as if nothing had been', async () => {
  const { bus, jobs } = queue((repository) => (repository === 'a' ? 'parent-refused' : 'done'));
  using arrivals = new Arrivals(bus, log, 'pass', signal);
  const [first, second] = await Promise.allSettled(
    ['a', 'b'].map((repository) => arrivals.send({ repository, digest, size: 1 })),
  );
  assert.ok(first?.status === 'rejected' && second?.status === 'fulfilled');
  assert.deepEqual([first.reason.code, first.reason.detail], ['parent-refused', { status: 413 }]);
  assert.deepEqual(jobs[1]?.from, []);
});

test('a transfer that pauses because the window closes is waited for no more', async () => {
  const { bus } = queue(() => 'paused');
  using arrivals = new Arrivals(bus, log, 'pass', signal, 1_000);
  await assert.rejects(arrivals.send({ repository: 'a', digest, size: 1 }), { code: 'window-closed' });
  await assert.rejects(arrivals.pull({ repository: 'a', digest, size: 1 }), { code: 'window-closed' });
});

test('the same blob may come and go at the same time', async () => {
  const { bus, jobs } = queue(() => 'done');
  using arrivals = new Arrivals(bus, log, 'pass', signal);
  const wanted = { repository: 'a', digest, size: 1 };
  await Promise.all([arrivals.send(wanted), arrivals.pull(wanted)]);
  assert.deepEqual(
    jobs.map(({ direction }) => direction),
    ['up', 'down'],
  );
});
