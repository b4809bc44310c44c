import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transition } from 'xstate';
import {
  type Lane,
  type SyncerContext,
  syncerMachine,
} from '../../../services/syncer/coordinator/syncer.machine.ts';
import type { PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';

const [one, two, three] = ['one', 'two', 'three'].map((id) => ({ id, cause: 'test' })) as [
  PassRequest,
  PassRequest,
  PassRequest,
];

const scope = (...tags: string[]) => new Map([['app', new Set(tags)]]);
const small: PassRequest = { id: 'small', cause: 'change', scope: scope('a') };
const other: PassRequest = { id: 'other', cause: 'change', scope: scope('b') };

const lanes = (main: 'idle' | 'passing', scoped: 'idle' | 'passing') => ({ leading: { main, scoped } });
const idle = lanes('idle', 'idle');
const passing = lanes('passing', 'idle');
const done = { type: 'xstate.done.actor.0.syncer.leading.main.passing' };
const failed = { type: 'xstate.error.actor.0.syncer.leading.main.passing' };
const smallDone = { type: 'xstate.done.actor.0.syncer.leading.scoped.passing' };
const gained = { type: 'lease.gained', pass: one };
const closed = { type: 'lease.gained' };
const term = { type: 'xstate.done.actor.0.syncer.claiming' };
const lost = { type: 'lease.lost' };
const fullNow = { type: 'pass.wanted', pass: { ...three, main: true, now: true } };
const wanted = { type: 'pass.wanted', pass: three };
const change = { type: 'pass.wanted', pass: small };
const many = { type: 'pass.wanted', pass: { ...other, scope: new Map([['app', new Set(names(1_000))]]) } };

type Value = 'following' | 'claiming' | ReturnType<typeof lanes>;
const rows: [Value, SyncerContext, { type: string }, Value, SyncerContext][] = [
  ['following', lane(), gained, 'claiming', lane({ next: one })],
  ['following', lane(), closed, 'claiming', lane()],
  ['claiming', lane({ next: one }), wanted, 'claiming', lane({ next: one })],
  ['claiming', lane(), fullNow, 'claiming', lane({ next: fullNow.pass })],
  ['claiming', lane({ next: one }), term, passing, lane({ current: one })],
  ['claiming', lane(), term, idle, lane()],
  ['claiming', lane({ next: one }), lost, 'following', lane()],
  ['following', lane(), wanted, 'following', lane()],
  ['following', lane(), lost, 'following', lane()],
  [idle, lane(), wanted, passing, lane({ current: three })],
  [idle, lane(), lost, 'following', lane()],
  [idle, lane(), gained, idle, lane()],
  [passing, lane({ current: one }), wanted, passing, lane({ current: one, next: three })],
  [passing, lane({ current: one, next: two }), wanted, passing, lane({ current: one, next: two })],
  [
    passing,
    lane({ current: one, next: two }),
    fullNow,
    passing,
    lane({ current: one, next: { ...two, full: true, now: true } }),
  ],
  [passing, lane({ current: one }), done, idle, lane()],
  [passing, lane({ current: one, next: two }), done, passing, lane({ current: two })],
  [passing, lane({ current: one }), failed, idle, lane()],
  [passing, lane({ current: one, next: two }), failed, passing, lane({ current: two })],
  [passing, lane({ current: one, next: two }), lost, 'following', lane()],
  // A change of a client goes up beside a main pass.
  [
    passing,
    lane({ current: one }),
    change,
    lanes('passing', 'passing'),
    lane({ current: one }, { current: small }),
  ],
  [
    lanes('passing', 'passing'),
    lane({ current: one }, { current: other }),
    change,
    lanes('passing', 'passing'),
    lane({ current: one }, { current: other, next: small }),
  ],
  [
    lanes('passing', 'passing'),
    lane({ current: one }, { current: small }),
    smallDone,
    passing,
    lane({ current: one }),
  ],
  [lanes('idle', 'passing'), lane({}, { current: small }), smallDone, idle, lane()],
  [
    lanes('passing', 'passing'),
    lane({ current: one }, { current: other, next: small }),
    many,
    lanes('passing', 'passing'),
    lane({ current: one, next: { id: 'small', cause: 'change' } }, { current: other }),
  ],
];

function lane(main: Lane = {}, scoped: Lane = {}): SyncerContext {
  return { main, scoped };
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `t${i}`);
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
