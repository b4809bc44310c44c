import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transition } from 'xstate';
import { type SyncerContext, syncerMachine } from '../../services/syncer/syncer.machine.ts';
import type { Wish } from '../../services/syncer/wish.ts';

const [one, two, three] = ['one', 'two', 'three'].map((id) => ({ id, cause: 'test' })) as [Wish, Wish, Wish];

const idle = { leading: 'idle' } as const;
const passing = { leading: 'passing' } as const;
const done = { type: 'xstate.done.actor.0.syncer.leading.passing' };
const failed = { type: 'xstate.error.actor.0.syncer.leading.passing' };
const gained = { type: 'lease.gained', pass: one };
const closed = { type: 'lease.gained' };
const lost = { type: 'lease.lost' };
const fullNow = { type: 'pass.wanted', pass: { ...three, full: true, now: true } };
const wanted = { type: 'pass.wanted', pass: three };

type Value = 'following' | typeof idle | typeof passing;
const rows: [Value, SyncerContext, { type: string }, Value, SyncerContext][] = [
  ['following', none(), gained, passing, { current: one, next: undefined }],
  ['following', none(), closed, idle, none()],
  ['following', none(), wanted, 'following', none()],
  ['following', none(), lost, 'following', none()],
  [idle, none(), wanted, passing, { current: three, next: undefined }],
  [idle, none(), lost, 'following', none()],
  [idle, none(), gained, idle, none()],
  [passing, { current: one, next: undefined }, wanted, passing, { current: one, next: three }],
  [passing, { current: one, next: two }, wanted, passing, { current: one, next: two }],
  [
    passing,
    { current: one, next: two },
    fullNow,
    passing,
    { current: one, next: { ...two, full: true, now: true } },
  ],
  [passing, { current: one, next: undefined }, done, idle, none()],
  [passing, { current: one, next: two }, done, passing, { current: two, next: undefined }],
  [passing, { current: one, next: undefined }, failed, idle, none()],
  [passing, { current: one, next: two }, failed, passing, { current: two, next: undefined }],
  [passing, { current: one, next: two }, lost, 'following', none()],
  [passing, { current: one, next: undefined }, gained, passing, { current: one, next: undefined }],
  [passing, { current: one, next: undefined }, closed, passing, { current: one, next: undefined }],
];

function none(): SyncerContext {
  return { current: undefined, next: undefined };
}

type Step = Parameters<typeof transition<typeof syncerMachine>>;
for (const [value, context, event, expected, after] of rows) {
  const name = `${JSON.stringify(value)} ${JSON.stringify(context)}, ${event.type}: ${JSON.stringify(expected)}`;
  test(name, () => {
    const before = syncerMachine.resolveState({ value, context } as Parameters<
      typeof syncerMachine.resolveState
    >[0]);
    const [snapshot] = transition(syncerMachine, before, event as Step[2]);
    assert.deepEqual(snapshot.value, expected);
    assert.deepEqual(snapshot.context, after);
  });
}
