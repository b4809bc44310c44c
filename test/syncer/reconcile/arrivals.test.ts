import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus.ts';
import type { Digest } from '#proto/names.ts';
import { Arrivals } from '../../../services/syncer/reconcile/arrivals.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const digest = `sha256:${'a'.repeat(64)}` as Digest;

/** A queue whose jobs end at once as `outcome` says of each repository. */
function queue(outcome: (repository: string) => string) {
  const wished: string[] = [];
  const heard = new Map<string, (event: unknown) => void>();
  const bus = {
    listen: ({ type }: { type: string }, handler: (event: unknown) => void) => {
      heard.set(type, handler);
      return () => {};
    },
    submit: async (_: unknown, body: { repository: string }) => {
      wished.push(body.repository);
      const code = outcome(body.repository);
      const data = { ...body, code, reason: body.repository };
      setImmediate(() => heard.get(code === 'done' ? 'transfer.finished' : 'transfer.failed')?.({ data }));
    },
  };
  return { bus: bus as unknown as Bus, wished };
}

test('a blob that one repository does not give is asked of another one that has it', async () => {
  const { bus, wished } = queue((repository) => (repository === 'a' ? 'blob-unknown' : 'done'));
  using arrivals = new Arrivals(bus, log, 'pass', new AbortController().signal);
  const results = await Promise.allSettled(
    ['a', 'b', 'a', 'c'].map((repository) => arrivals.bring({ repository, digest, size: 1 })),
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
    ['a', 'b'].map((repository) => arrivals.bring({ repository, digest, size: 1 })),
  );
  assert.ok(results.every(({ status }) => status === 'rejected'));
  assert.deepEqual(wished, ['a']);
});

test('nothing is waited for once the pass was ended', async () => {
  const end = new AbortController();
  using arrivals = new Arrivals(queue(() => 'done').bus, log, 'pass', end.signal);
  end.abort(new Error('ended'));
  await assert.rejects(arrivals.bring({ repository: 'a', digest, size: 1 }), /ended/);
});
