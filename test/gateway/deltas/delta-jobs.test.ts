import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { Log } from '#proto/bus/bus.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { DeltaJob } from '#proto/sync/delta-jobs.ts';
import { DeltaJobs } from '../../../services/gateway/deltas/delta-jobs.ts';
import { sha256 } from '../gateway-rig.ts';
import { JobBus } from './job-bus.ts';

/** Jobs for deltas: each is submitted once, and has an outcome or is lost. */

const TIME_MS = 60_000;

function setUp({ mode = 'auto' } = {}) {
  const bus = new JobBus();
  const logged: string[] = [];
  const write = (_: object, message: string) => void logged.push(message);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const clock = { now: 1_000_000 };
  const configuration = { delta: { mode, timeMs: TIME_MS } } as unknown as Configuration;
  const jobs = new DeltaJobs({ bus, configuration: () => configuration, log, now: () => clock.now });
  const outcomes: string[] = [];
  jobs.onOutcome((to) => void outcomes.push(to));
  return { bus, jobs, clock, logged, outcomes };
}

const make = (name: string, ...candidates: string[]) => ({
  kind: 'make' as const,
  repository: 'app',
  to: sha256(name),
  toSize: 1_000_000,
  candidates: candidates.map(sha256),
  reason: 'asked' as const,
});
const apply = (name: string, digest = 'delta'): DeltaJob => ({
  kind: 'apply',
  repository: 'app',
  delta: {
    to: sha256(name),
    toSize: 1_000_000,
    from: [sha256('base')],
    format: DELTA_FORMAT,
    kind: 'raw',
    cpuMs: 1,
    digest: sha256(digest),
    size: 10,
  },
});

test('a job is submitted once while it is pending, also for other candidates of its target', async () => {
  const { bus, jobs } = setUp();
  const both = await Promise.all([jobs.submit(make('x', 'a'), 'c'), jobs.submit(make('x', 'a'), 'c')]);
  deepEqual(both, [{ state: 'pending' }, { state: 'pending' }]);
  deepEqual(await jobs.submit(make('x', 'b'), 'other'), { state: 'pending' });
  deepEqual(bus.submitted, [make('x', 'a')]);
  equal(jobs.countOf('asked'), 1);
  equal(jobs.countOf('ahead'), 0);
});

test('after its outcome a job is not submitted again for a while, and one for other candidates is', async () => {
  const { bus, jobs, clock, outcomes } = setUp();
  await jobs.submit(make('x', 'a'), 'c');
  bus.failed(make('x', 'a'));
  deepEqual(outcomes, [sha256('x')]);
  const known = await jobs.submit(make('x', 'a'), 'c');
  equal(known.state, 'failed');
  equal(known.state === 'failed' && known.fault?.code, 'no-space');
  deepEqual(await jobs.submit(make('x', 'b'), 'c'), { state: 'pending' });
  bus.made(make('x', 'b'));
  deepEqual(await jobs.submit(make('x', 'b'), 'c'), { state: 'done' });
  equal(bus.submitted.length, 2);
  clock.now += 11 * 60_000;
  deepEqual(await jobs.submit(make('x', 'a'), 'c'), { state: 'pending' });
  equal(bus.submitted.length, 3);
});

test('a delta of other bases to the same target is no outcome of the job', async () => {
  const { bus, jobs } = setUp();
  await jobs.submit(make('x', 'a', 'b'), 'c');
  bus.made(make('x', 'z'));
  deepEqual(await jobs.submit(make('x', 'a', 'b'), 'c'), { state: 'pending' });
  bus.made(make('x', 'a', 'b'), [sha256('b')]);
  deepEqual(await jobs.submit(make('x', 'a', 'b'), 'c'), { state: 'done' });
});

test('pushed deltas are applied independently of each other and of deltas to the same target', async () => {
  const { bus, jobs } = setUp();
  for (const job of [make('x', 'a'), apply('x'), apply('y'), apply('x', 'another')])
    await jobs.submit(job, 'c');
  equal(bus.submitted.length, 4);
  bus.applied(apply('x'));
  deepEqual(await jobs.submit(apply('x'), 'c'), { state: 'done' });
  deepEqual(await jobs.submit(apply('x', 'another'), 'c'), { state: 'pending' });
  deepEqual(await jobs.submit(make('x', 'a'), 'c'), { state: 'pending' });
  bus.failed(apply('y'), 'blob-unknown', 'a base is missing');
  const failed = await jobs.submit(apply('y'), 'c');
  equal(failed.state === 'failed' && failed.fault?.message, 'a base is missing');
});

test('a failure of another job, or of a delta that was pulled, is no outcome of a job for the same target', async () => {
  const { bus, jobs, outcomes } = setUp();
  const pushed = apply('x') as Extract<DeltaJob, { kind: 'apply' }>;
  for (const job of [make('x', 'a'), pushed]) await jobs.submit(job, 'c');
  bus.failed(make('x', 'b'));
  bus.failed({ ...make('x', 'a'), repository: 'other' });
  bus.failed(apply('x', 'garbage'));
  bus.failedToApply({ ...pushed.delta, repository: 'app' });
  deepEqual(outcomes, Array(4).fill(sha256('x')), 'who waits checks again');
  for (const job of [make('x', 'a'), pushed]) {
    deepEqual(await jobs.submit(job, 'c'), { state: 'pending' });
    bus.failed(job);
    equal((await jobs.submit(job, 'c')).state, 'failed');
  }
  equal(bus.submitted.length, 2);
});

test('after a gap in the events, a job that is still wanted is submitted again, and ends', async () => {
  const { bus, jobs } = setUp();
  await jobs.submit(make('x', 'a'), 'c');
  bus.missed();
  equal(jobs.countOf('asked'), 0);
  deepEqual(await jobs.submit(make('x', 'a'), 'c'), { state: 'pending' });
  equal(bus.submitted.length, 2);
  bus.made(make('x', 'a'));
  deepEqual(await jobs.submit(make('x', 'a'), 'c'), { state: 'done' });
  for (let n = 0; n < 15; n += 1) await jobs.submit(make(`y${n}`, 'a'), 'c');
  bus.missed();
  for (let n = 0; n < 16; n += 1)
    deepEqual(await jobs.submit(make(`z${n}`, 'a'), 'c'), { state: 'pending' }, 'its slots are free');
});

test('for one target, an account has three sets of candidates tried per hour', async () => {
  const { bus, jobs, clock } = setUp();
  for (const base of ['a', 'b', 'c']) {
    deepEqual(await jobs.submit(make('x', base), 'c'), { state: 'pending' });
    bus.failed(make('x', base));
  }
  deepEqual(await jobs.submit(make('x', 'd'), 'c'), { state: 'full' });
  deepEqual(await jobs.submit(make('y', 'd'), 'c'), { state: 'pending' });
  deepEqual(await jobs.submit(make('x', 'd'), 'other'), { state: 'pending' });
  bus.failed(make('x', 'd'));
  clock.now += 11 * 60_000;
  deepEqual(await jobs.submit(make('x', 'a'), 'c'), { state: 'pending' }, 'again');
  bus.failed(make('x', 'a'));
  clock.now += 60 * 60_000;
  deepEqual(await jobs.submit(make('x', 'd'), 'c'), { state: 'pending' });
});

test('a job that no syncer takes is lost after the time of one delta, unless syncers report others', async () => {
  const { bus, jobs, clock, logged } = setUp();
  await jobs.submit(make('x', 'a'), 'c');
  clock.now += TIME_MS;
  bus.made(make('other', 'a'));
  clock.now += TIME_MS;
  deepEqual(await jobs.submit(make('x', 'a'), 'c'), { state: 'pending' });
  clock.now += 30_001;
  deepEqual(await jobs.submit(make('x', 'a'), 'c'), { state: 'failed' });
  equal(jobs.countOf('asked'), 0);
  equal(logged.length, 1);
  for (let minute = 0; minute < 5; minute += 1) {
    await jobs.submit(make('y', 'a'), 'c');
    clock.now += TIME_MS;
    bus.made(make('other', 'a'));
  }
  deepEqual(await jobs.submit(make('y', 'a'), 'c'), { state: 'failed' }, 'the queue is too long');
  await jobs.submit(apply('x'), 'c');
  clock.now += TIME_MS;
  bus.made(make('other', 'a'));
  clock.now += 30_001;
  deepEqual(await jobs.submit(apply('x'), 'c'), { state: 'failed' }, 'what is made is another queue');
});

test('the jobs of an account, and of all, are bounded; an outcome makes room', async () => {
  const { bus, jobs } = setUp();
  for (let n = 0; n < 16; n += 1) await jobs.submit(make(`of-c-${n}`, 'a'), 'c');
  deepEqual(await jobs.submit(make('more', 'a'), 'c'), { state: 'later' });
  deepEqual(await jobs.submit(apply('x'), 'c'), { state: 'pending' }, 'applications have their own queue');
  for (let n = 0; n < 484; n += 1) await jobs.submit(make(`of-${n}`, 'a'), `account-${n % 40}`);
  deepEqual(await jobs.submit(make('more', 'a'), 'new'), { state: 'full' });
  equal(bus.submitted.length, 501);
  bus.made(make('of-c-7', 'a'));
  deepEqual(await jobs.submit(make('more', 'a'), 'c'), { state: 'pending' });
});

test('a job that the bus does not accept is not pending', async () => {
  const { bus, jobs } = setUp();
  bus.refuses = true;
  await rejects(jobs.submit(make('x', 'a'), 'c'));
  bus.refuses = false;
  deepEqual(await jobs.submit(make('x', 'a'), 'c'), { state: 'pending' });
  equal(bus.submitted.length, 1);
});

test('no format is known while deltas are off', () => {
  deepEqual(setUp().jobs.formats, [DELTA_FORMAT]);
  deepEqual(setUp({ mode: 'off' }).jobs.formats, []);
});
