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
const never = () => Promise.reject(new Error('a table runs no steps'));
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

/** What can happen, in one state or another; `of` names the state whose actor it comes from. */
const happenings = {
  present: (of: string) => done(of, { kind: 'present' }),
  held: (of: string) => done(of, { kind: 'held' }),
  claimed: (of: string) => done(of, { kind: 'claimed', hold: claim }),
  succeeds: (of: string) => done(of),
  'fails for now': (of: string) => error(of, new Fault('parent-unreachable', 'x')),
  'fails for good': (of: string) => error(of, new Fault('parent-refused', 'x')),
  'transfer.cancel': () => ({ type: 'transfer.cancel' }),
};
type Happening = keyof typeof happenings;
type Live = 'locating' | 'moving' | 'committing' | 'releasing' | 'waiting';
type Any = Live | 'present' | 'held' | 'failed';

/** Complete by type: a new state or happening does not compile until this says what it does. */
const table: Record<
  Live,
  Partial<Record<Happening, Any>> & { 'transfer.cancel': Any; 'fails for now': Any }
> = {
  locating: {
    present: 'present',
    held: 'held',
    claimed: 'moving',
    'fails for now': 'releasing',
    'fails for good': 'releasing',
    'transfer.cancel': 'locating',
  },
  moving: {
    succeeds: 'committing',
    'fails for now': 'releasing',
    'fails for good': 'releasing',
    'transfer.cancel': 'moving',
  },
  committing: {
    succeeds: 'present',
    'fails for now': 'releasing',
    'fails for good': 'releasing',
    'transfer.cancel': 'committing',
  },
  releasing: { succeeds: 'failed', 'fails for now': 'failed', 'transfer.cancel': 'releasing' },
  waiting: { succeeds: 'locating', 'fails for now': 'failed', 'transfer.cancel': 'failed' },
};

type Step = Parameters<typeof transition<typeof transferMachine>>;
const step = (value: string, event: { type: string }, given: Partial<TransferContext> = {}) =>
  transition(
    transferMachine,
    transferMachine.resolveState({ value: value as 'locating', context: { ...context, ...given } }),
    event as Step[2],
  )[0];

for (const [state, row] of Object.entries(table)) {
  for (const [happening, expected] of Object.entries(row)) {
    test(`${state}, ${happening}: ${expected}`, () => {
      const event = happenings[happening as Happening](state);
      assert.equal(step(state, event).value, expected);
    });
  }
}

test('releasing goes on to waiting after a fault that may pass', () => {
  assert.equal(step('releasing', done('releasing'), { until: 1 }).value, 'waiting');
  assert.equal(
    step('releasing', error('releasing', new Fault('claim-lost', 'x')), { until: 1 }).value,
    'waiting',
  );
});

test('a fault that may pass sets a time to wait for, one that will not does not', () => {
  const before = Date.now();
  const passing = step('moving', error('moving', new Fault('parent-unreachable', 'x'))).context;
  assert.ok(passing.until > before && passing.failures === 1);
  const final = step('moving', error('moving', new Fault('parent-invalid', 'x'))).context;
  assert.equal(final.until, 0);
  assert.equal(final.fault?.code, 'parent-invalid');
});

test('failures in a row are counted, and bytes that moved start the count anew', () => {
  const fault = (gained: number) => new Fault('parent-unreachable', 'x', { detail: { gained } });
  assert.equal(step('moving', error('moving', fault(0)), { failures: 6 }).context.until, 0);
  assert.equal(step('moving', error('moving', fault(1)), { failures: 6 }).context.failures, 1);
});

test('a claim that comes after a cancellation is given back', () => {
  const after = step('locating', happenings.claimed('locating'), { cancelled: true });
  assert.equal(after.value, 'releasing');
  assert.equal(after.context.hold, claim);
});

test('a cancelled transfer does not wait for another attempt', () => {
  const after = step('moving', error('moving', new Fault('unavailable', 'x')), { cancelled: true });
  assert.equal(after.context.until, 0);
});
