import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Past } from '#proto/bus/history.ts';
import { describeReplay } from '../../../cli/commands/observe/replay.ts';
import { apply, emptyReplay, type ReplayedTransfer } from '../../../cli/text/replay-state.ts';

/** The state of transfers as it follows from events. */

const digest = `sha256:${'ab'.repeat(32)}`;
const blob = { direction: 'down', repository: 'app', digest, size: 100, syncer: 's1', pass: 'p' };

let serial = 0;
const entry = (type: string, more: object = {}, data: object = blob): Past => ({
  sequence: ++serial,
  event: {
    specversion: '1.0',
    id: `x-${serial}`,
    source: '/layers/l/s1',
    type: `terrace.${type}`,
    time: '2030-01-01T00:00:00.000Z',
    data: { ...data, ...more },
  },
});
const started = () => entry('transfer.started', { present: 10 });
const progressed = () => entry('transfer.progressed', { done: 40, rate: 5 });
const delayed = () => entry('transfer.delayed', { code: 'parent-unreachable', reason: 'away', until: 9_000 });
const paused = () => entry('transfer.paused');
const finished = () => entry('transfer.finished');
const failed = () => entry('transfer.failed', { code: 'digest-invalid', reason: 'wrong' });
const committed = () => entry('blob.committed', {}, { digest, size: 100 });

test('transfers of layers below are ignored', () => {
  const replay = emptyReplay();
  apply(replay, { ...entry('transfer.started', { present: 0 }), child: 'line' } as Past);
  assert.equal(replay.transfers.size, 0);
});

function after(...steps: Past[]): Pick<ReplayedTransfer, 'state' | 'done'> & Partial<ReplayedTransfer> {
  const replay = emptyReplay();
  for (const step of steps) apply(replay, step);
  const [transfer] = replay.transfers.values();
  if (!transfer) throw new Error('no transfer is known');
  const { state, done, reason, until, unknown } = transfer;
  return { state, done, ...(reason && { reason }), ...(until && { until }), ...(unknown && { unknown }) };
}

const moving = { state: 'moving', done: 40 };
const waiting = { state: 'waiting', done: 40, reason: 'away', until: 9_000 };
const hasFailed = { state: 'failed', done: 40, reason: 'wrong' };
const complete = { state: 'finished', done: 100 };

for (const [name, steps, expected] of [
  ['starts', [started()], { state: 'moving', done: 10 }],
  ['progresses', [started(), progressed()], moving],
  ['waits when it is delayed', [started(), progressed(), delayed()], waiting],
  ['continues after a delay', [started(), delayed(), started()], { state: 'moving', done: 10 }],
  ['pauses', [started(), progressed(), paused()], { state: 'paused', done: 40 }],
  ['fails', [started(), progressed(), failed()], hasFailed],
  ['starts again after a failure', [started(), failed(), started()], { state: 'moving', done: 10 }],
  ['finishes', [started(), progressed(), finished()], complete],
  ['is finished by a commit, without an event of its end', [started(), progressed(), committed()], complete],
  ['is finished by a commit during a delay', [started(), delayed(), committed()], complete],
  ['stays finished after a commit', [started(), finished(), committed()], complete],
  ['is known from its end alone', [finished()], complete],
] as const) {
  test(`a transfer ${name}`, () => assert.deepEqual(after(...steps), expected));
}

test('of a transfer by a delta, the bytes of the delta count, and its end names what it saved', () => {
  const delta = { digest: `sha256:${'cd'.repeat(32)}`, size: 20 };
  const byDelta = (type: string, more: object) => entry(type, { delta, ...more });
  const replay = emptyReplay();
  apply(replay, byDelta('transfer.started', { present: 5 }));
  apply(replay, byDelta('transfer.progressed', { done: 15 }));
  assert.match(describeReplay(replay, 0), /moving +15 B of 20 B/);
  apply(replay, byDelta('transfer.finished', { saved: { by: 'delta', bytes: 80 } }));
  assert.equal([...replay.transfers.values()][0]?.done, 20);
  assert.match(describeReplay(replay, 0), /^1 transfer finished \(80 B did not cross the link\), 0 failed/);
  apply(replay, entry('transfer.finished', { held: true }));
  assert.deepEqual([...replay.transfers.values()][0]?.saved, { by: 'delta', bytes: 80 });
  const plainAfterAll = [byDelta('transfer.started', { present: 5 }), started(), progressed(), finished()];
  assert.deepEqual(after(...plainAfterAll), complete);
});

test('a transfer that started before the first event is partly unknown', () => {
  assert.deepEqual(after(progressed()), { ...moving, unknown: 'it started before the first stored event' });
  assert.deepEqual(after(progressed(), finished()), complete);
});

test('after a gap, a running transfer is unknown until its next event, and a finished one is unchanged', () => {
  const gap: Past = { gap: { from: 5, to: 9, reason: 'expired' } };
  const unknown = 'its progress: events from 5 to 9 are missing';
  assert.deepEqual(after(started(), progressed(), gap), { ...moving, unknown });
  assert.deepEqual(after(started(), progressed(), gap, progressed()), moving);
  assert.deepEqual(after(started(), finished(), gap), complete);
});

test('an upload is one transfer for each repository, a download is one for all', () => {
  const replay = emptyReplay();
  for (const direction of ['up', 'down']) {
    for (const repository of ['a', 'b'])
      apply(replay, entry('transfer.started', { direction, repository, present: 0 }));
  }
  const found = [...replay.transfers.values()].map(
    ({ direction, repository }) => `${direction} ${repository}`,
  );
  assert.deepEqual(found, ['up a', 'up b', 'down b']);
});

test('the text has open transfers with their reason, the count of finished ones, and gaps', () => {
  const replay = emptyReplay();
  for (const step of [started(), progressed(), delayed()]) apply(replay, step);
  apply(replay, { gap: { from: 70, reason: 'lost' } });
  const text = describeReplay(replay, 4_000);
  assert.match(text, /down +app@sha256:abababababab +waits 5 s +40 B of 100 B +s1 +unknown: its progress/);
  assert.match(
    text,
    /0 transfers finished, 0 failed, 1 open after event \d+\.\nUnknown: events from 70 on are lost/,
  );
});
