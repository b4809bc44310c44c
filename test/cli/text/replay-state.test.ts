import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Past } from '#proto/bus/history.ts';
import { describeReplay } from '../../../cli/commands/replay.ts';
import { apply, emptyReplay, type ReplayedTransfer } from '../../../cli/text/replay-state.ts';

/** Each event, after each state of a transfer: what is known then. */

const digest = `sha256:${'ab'.repeat(32)}`;
const blob = { direction: 'down', repository: 'app', digest, size: 100, syncer: 's1', pass: 'p' };

let serial = 0;
const past = (type: string, more: object = {}, data: object = blob): Past => ({
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
const started = () => past('transfer.started', { present: 10 });
const progressed = () => past('transfer.progressed', { done: 40, rate: 5 });
const delayed = () => past('transfer.delayed', { code: 'parent-unreachable', reason: 'away', until: 9_000 });
const paused = () => past('transfer.paused');
const finished = () => past('transfer.finished');
const failed = () => past('transfer.failed', { code: 'digest-invalid', reason: 'wrong' });
const committed = () => past('blob.committed', {}, { digest, size: 100 });

test('transfers of layers below are not of this one', () => {
  const replay = emptyReplay();
  apply(replay, { ...past('transfer.started', { present: 0 }), child: 'line' } as Past);
  assert.equal(replay.transfers.size, 0);
});

function after(...steps: Past[]): Pick<ReplayedTransfer, 'state' | 'done'> & Partial<ReplayedTransfer> {
  const replay = emptyReplay();
  for (const step of steps) apply(replay, step);
  const [one] = replay.transfers.values();
  if (!one) throw new Error('no transfer is known');
  const { state, done, reason, until, unknown } = one;
  return { state, done, ...(reason && { reason }), ...(until && { until }), ...(unknown && { unknown }) };
}

const moved = { state: 'moving', done: 40 };
const waits = { state: 'waiting', done: 40, reason: 'away', until: 9_000 };
const gaveUp = { state: 'failed', done: 40, reason: 'wrong' };
const whole = { state: 'finished', done: 100 };

for (const [name, steps, want] of [
  ['begins', [started()], { state: 'moving', done: 10 }],
  ['moves', [started(), progressed()], moved],
  ['waits', [started(), progressed(), delayed()], waits],
  ['goes on after it waited', [started(), delayed(), started()], { state: 'moving', done: 10 }],
  ['pauses', [started(), progressed(), paused()], { state: 'paused', done: 40 }],
  ['is given up', [started(), progressed(), failed()], gaveUp],
  ['is begun again after that', [started(), failed(), started()], { state: 'moving', done: 10 }],
  ['is finished', [started(), progressed(), finished()], whole],
  ['is committed, and nobody lived to say so', [started(), progressed(), committed()], whole],
  ['is committed while it waited', [started(), delayed(), committed()], whole],
  ['is finished, which a commit says no more of', [started(), finished(), committed()], whole],
  ['is known by its end alone', [finished()], whole],
] as const) {
  test(`a transfer ${name}`, () => assert.deepEqual(after(...steps), want));
}

test('what began before the first event is not known whole', () => {
  assert.deepEqual(after(progressed()), { ...moved, unknown: 'it started before the first stored event' });
  assert.deepEqual(after(progressed(), finished()), whole);
});

test('a gap leaves what was under way unknown until it tells of itself, and what was over as it was', () => {
  const gap: Past = { gap: { from: 5, to: 9, reason: 'expired' } };
  const unknown = 'its progress: events from 5 to 9 are missing';
  assert.deepEqual(after(started(), progressed(), gap), { ...moved, unknown });
  assert.deepEqual(after(started(), progressed(), gap, progressed()), moved);
  assert.deepEqual(after(started(), finished(), gap), whole);
});

test('what goes up is one transfer for each repository; what comes here is one for all', () => {
  const replay = emptyReplay();
  for (const direction of ['up', 'down']) {
    for (const repository of ['a', 'b'])
      apply(replay, past('transfer.started', { direction, repository, present: 0 }));
  }
  const found = [...replay.transfers.values()].map(
    ({ direction, repository }) => `${direction} ${repository}`,
  );
  assert.deepEqual(found, ['up a', 'up b', 'down b']);
});

test('for a person: what is open with its reason, how much is finished, and what nobody knows', () => {
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
