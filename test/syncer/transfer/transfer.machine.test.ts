import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transition } from 'xstate';
import { Fault } from '#proto/contract/fault.ts';
import {
  type Hold,
  type TransferContext,
  transferMachine,
} from '../../../services/syncer/transfer/transfer.machine.ts';

const wanted = { repository: 'a', digest: `sha256:${'a'.repeat(64)}`, size: 10 };
const never = () => Promise.reject(new Error('the table runs no steps'));
const claim: Hold = { move: never, commit: never, release: never };
const context: TransferContext = {
  wanted,
  hold: claim,
  mounted: false,
  fault: undefined,
  failures: 0,
  until: 0,
  cancelled: false,
  result: 'failed',
};

const done = (actor: string, output?: unknown) => ({ type: `xstate.done.actor.0.transfer.${actor}`, output });
const error = (actor: string, cause: unknown) => ({
  type: `xstate.error.actor.0.transfer.${actor}`,
  error: cause,
});

/** Events of the machine. `state`: the state whose actor causes the event. */
const events = {
  present: (state: string) => done(state, { kind: 'present' }),
  busy: (state: string) => done(state, { kind: 'busy' }),
  claimed: (state: string) => done(state, { kind: 'claimed', hold: claim }),
  succeeds: (state: string) => done(state),
  'fails temporarily': (state: string) => error(state, new Fault('parent-unreachable', 'x')),
  'fails permanently': (state: string) => error(state, new Fault('parent-refused', 'x')),
  'transfer.cancel': () => ({ type: 'transfer.cancel' }),
};
type EventName = keyof typeof events;
type LiveState = 'locating' | 'moving' | 'committing' | 'releasing' | 'waiting';
type AnyState = LiveState | 'present' | 'busy' | 'failed';

/** Complete by type: a new state or event does not compile without an entry. */
const table: Record<
  LiveState,
  Partial<Record<EventName, AnyState>> & { 'transfer.cancel': AnyState; 'fails temporarily': AnyState }
> = {
  locating: {
    present: 'present',
    busy: 'busy',
    claimed: 'moving',
    'fails temporarily': 'releasing',
    'fails permanently': 'releasing',
    'transfer.cancel': 'locating',
  },
  moving: {
    succeeds: 'committing',
    'fails temporarily': 'releasing',
    'fails permanently': 'releasing',
    'transfer.cancel': 'moving',
  },
  committing: {
    succeeds: 'present',
    'fails temporarily': 'releasing',
    'fails permanently': 'releasing',
    'transfer.cancel': 'committing',
  },
  releasing: { succeeds: 'failed', 'fails temporarily': 'failed', 'transfer.cancel': 'releasing' },
  waiting: { succeeds: 'locating', 'fails temporarily': 'failed', 'transfer.cancel': 'failed' },
};

type Step = Parameters<typeof transition<typeof transferMachine>>;
const step = (value: string, event: { type: string }, given: Partial<TransferContext> = {}) =>
  transition(
    transferMachine,
    transferMachine.resolveState({ value: value as 'locating', context: { ...context, ...given } }),
    event as Step[2],
  )[0];

for (const [state, row] of Object.entries(table)) {
  for (const [name, expected] of Object.entries(row)) {
    test(`${state}, ${name}: ${expected}`, () => {
      const event = events[name as EventName](state);
      assert.equal(step(state, event).value, expected);
    });
  }
}

test('releasing continues to waiting after a temporary fault', () => {
  assert.equal(step('releasing', done('releasing'), { until: 1 }).value, 'waiting');
  assert.equal(
    step('releasing', error('releasing', new Fault('claim-lost', 'x')), { until: 1 }).value,
    'waiting',
  );
});

test('a temporary fault sets the time of the next attempt, a permanent one does not', () => {
  const before = Date.now();
  const temporary = step('moving', error('moving', new Fault('parent-unreachable', 'x'))).context;
  assert.ok(temporary.until > before && temporary.failures === 1);
  const permanent = step('moving', error('moving', new Fault('parent-invalid', 'x'))).context;
  assert.equal(permanent.until, 0);
  assert.equal(permanent.fault?.code, 'parent-invalid');
});

test('consecutive failures are counted, and transferred bytes reset the count', () => {
  const fault = (gained: number) => new Fault('parent-unreachable', 'x', { detail: { gained } });
  assert.equal(step('moving', error('moving', fault(0)), { failures: 6 }).context.until, 0);
  assert.equal(step('moving', error('moving', fault(1)), { failures: 6 }).context.failures, 1);
});

test('a claim that arrives after a cancellation is released', () => {
  const after = step('locating', events.claimed('locating'), { cancelled: true });
  assert.equal(after.value, 'releasing');
  assert.equal(after.context.hold, claim);
});

test('a cancelled transfer does not wait for another attempt', () => {
  const after = step('moving', error('moving', new Fault('unavailable', 'x')), { cancelled: true });
  assert.equal(after.context.until, 0);
});
