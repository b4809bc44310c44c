import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { transition } from 'xstate';
import type { ScheduleTimes } from '#proto/schedule/window.ts';
import type { Lanes } from '../../../services/syncer/coordinator/lanes.ts';
import { type SyncerContext, syncerMachine } from '../../../services/syncer/coordinator/syncer.machine.ts';
import type { TermState } from '../../../services/syncer/coordinator/term-tasks.ts';
import type { PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';
import { type LinkUse, linkAt } from '../../../services/syncer/schedule/link-schedule.ts';

const NOON = Date.parse('2027-03-01T12:00:00Z');
mock.timers.enable({ apis: ['Date'], now: NOON });

const HOUR_MS = 3_600_000;
const OPEN: ScheduleTimes = { schedule: '0 12 * * *', windowMs: HOUR_MS };
const CLOSED: ScheduleTimes = { schedule: '0 18 * * *', windowMs: HOUR_MS };
const PAUSED: ScheduleTimes = { ...OPEN, paused: { since: NOON, by: 'alice' } };
const links = { open: OPEN, closed: CLOSED, none: undefined, paused: PAUSED };
const open: LinkUse = linkAt(OPEN, NOON);
const term = {} as TermState;

const [one, two, three] = ['one', 'two', 'three'].map((id) => ({ id, cause: 'test' })) as [
  PassRequest,
  PassRequest,
  PassRequest,
];
const scope = (...tags: string[]) => new Map([['app', new Set(tags)]]);
const small: PassRequest = { id: 'small', cause: 'change', scope: scope('a') };
const other: PassRequest = { id: 'other', cause: 'change', scope: scope('b') };
const configured: PassRequest = { id: 'new', cause: 'configuration' };

const lanes = (main: 'idle' | 'passing', scoped: 'idle' | 'passing') => ({ leading: { main, scoped } });
const states = {
  standby: 'standby',
  takingTerm: 'takingTerm',
  idle: lanes('idle', 'idle'),
  main: lanes('passing', 'idle'),
  scoped: lanes('idle', 'passing'),
  both: lanes('passing', 'passing'),
} as const;
type State = keyof typeof states;

const wanted = (pass: PassRequest) => ({ type: 'pass.wanted', pass });
const events = {
  gained: { type: 'lease.gained', pass: one },
  lost: { type: 'lease.lost' },
  term: { type: 'xstate.done.actor.0.syncer.takingTerm', output: term },
  wanted: wanted(three),
  fullNow: wanted({ ...three, full: true, now: true }),
  change: wanted(small),
  many: wanted({ ...other, scope: scope(...Array.from({ length: 1_000 }, (_, i) => `t${i}`)) }),
  replaced: { type: 'passes.replaced', pass: configured },
  closes: { type: 'times.changed', times: CLOSED },
  done: { type: 'xstate.done.actor.0.syncer.leading.main.passing' },
  failed: { type: 'xstate.error.actor.0.syncer.leading.main.passing' },
  scopedDone: { type: 'xstate.done.actor.0.syncer.leading.scoped.passing' },
  scopedFailed: { type: 'xstate.error.actor.0.syncer.leading.scoped.passing' },
} as const;
type EventName = keyof typeof events;

/** Per lane, the running pass and the queued one. */
type Given = { main?: PassRequest; mainNext?: PassRequest; scoped?: PassRequest; scopedNext?: PassRequest };
const inLanes = ({ main, mainNext, scoped, scopedNext }: Given, link: LinkUse | undefined = open): Lanes => ({
  main: { ...(main && { current: { request: main, link } }), ...(mainNext && { next: mainNext }) },
  scoped: { ...(scoped && { current: { request: scoped, link } }), ...(scopedNext && { next: scopedNext }) },
});

type Step = Parameters<typeof transition<typeof syncerMachine>>;
/** Sends an event to the machine in a state. @returns the next state, the lanes, and what is emitted and invoked */
function step(state: State, given: Given, event: EventName, link: keyof typeof links = 'open') {
  const isLeading = state !== 'standby' && state !== 'takingTerm';
  const context: SyncerContext = {
    ...inLanes(given),
    times: links[link],
    term: isLeading ? term : undefined,
  };
  const before = syncerMachine.resolveState({ value: states[state], context } as Parameters<
    typeof syncerMachine.resolveState
  >[0]);
  const [after, actions] = transition(syncerMachine, before, events[event] as Step[2]);
  const value = JSON.stringify(after.value);
  const { main, scoped } = after.context;
  return {
    state: Object.entries(states).find(([, candidate]) => JSON.stringify(candidate) === value)?.[0] ?? value,
    lanes: { main, scoped },
    context: after.context,
    emitted: actions.flatMap(({ type, params }) =>
      (type as string) === 'xstate.emit' ? (params as { event: { type: string } }).event : [],
    ),
    inputs: actions.flatMap(({ type, params }) =>
      type === 'xstate.spawnChild' ? { ...(params as { input?: object; src?: unknown }) } : [],
    ),
  };
}

const running: Record<State, Given> = {
  standby: {},
  takingTerm: {},
  idle: {},
  main: { main: two },
  scoped: { scoped: other },
  both: { main: two, scoped: other },
};

/** Complete by type: a new state or event compiles only with its transitions. */
const table: Record<State, Record<EventName, State>> = {
  standby: { ...every('standby'), gained: 'takingTerm' },
  takingTerm: { ...every('takingTerm'), lost: 'standby', term: 'idle' },
  idle: {
    ...every('idle'),
    lost: 'standby',
    wanted: 'main',
    fullNow: 'main',
    change: 'scoped',
    many: 'scoped',
    replaced: 'main',
  },
  main: {
    ...every('main'),
    lost: 'standby',
    change: 'both',
    many: 'both',
    done: 'idle',
    failed: 'idle',
  },
  scoped: {
    ...every('scoped'),
    lost: 'standby',
    wanted: 'both',
    fullNow: 'both',
    replaced: 'both',
    scopedDone: 'idle',
    scopedFailed: 'idle',
  },
  both: {
    ...every('both'),
    lost: 'standby',
    done: 'scoped',
    failed: 'scoped',
    scopedDone: 'main',
    scopedFailed: 'main',
  },
};

function every(state: State): Record<EventName, State> {
  return Object.fromEntries(Object.keys(events).map((name) => [name, state])) as Record<EventName, State>;
}

for (const [state, row] of Object.entries(table) as [State, Record<EventName, State>][]) {
  for (const [event, expected] of Object.entries(row) as [EventName, State][]) {
    test(`in state ${state}, the event ${event} leads to ${expected}`, () => {
      const after = step(state, running[state], event);
      assert.equal(after.state, expected);
      if (expected === 'standby') assert.deepEqual(after.lanes, inLanes({}));
      assert.equal(
        after.context.term,
        expected === 'standby' || expected === 'takingTerm' ? undefined : term,
      );
    });
  }
}

/** The queued and the running passes after an event, while the link may be used. */
const rows: [State, Given, EventName, State, Given][] = [
  ['standby', {}, 'gained', 'takingTerm', { mainNext: one }],
  ['standby', {}, 'wanted', 'standby', {}],
  ['takingTerm', { mainNext: one }, 'wanted', 'takingTerm', { mainNext: one }],
  ['takingTerm', {}, 'fullNow', 'takingTerm', { mainNext: { ...three, full: true, now: true } }],
  ['takingTerm', {}, 'replaced', 'takingTerm', { mainNext: configured }],
  ['takingTerm', { mainNext: one }, 'term', 'main', { main: one }],
  ['takingTerm', { mainNext: one, scopedNext: small }, 'term', 'both', { main: one, scoped: small }],
  ['takingTerm', { mainNext: one }, 'lost', 'standby', {}],
  ['idle', {}, 'wanted', 'main', { main: three }],
  ['idle', {}, 'replaced', 'main', { main: configured }],
  ['main', { main: one }, 'wanted', 'main', { main: one, mainNext: three }],
  ['main', { main: one, mainNext: two }, 'wanted', 'main', { main: one, mainNext: two }],
  [
    'main',
    { main: one, mainNext: two },
    'fullNow',
    'main',
    { main: one, mainNext: { ...two, full: true, now: true } },
  ],
  ['main', { main: one, mainNext: two }, 'done', 'main', { main: two }],
  ['main', { main: one, mainNext: two }, 'failed', 'main', { main: two }],
  ['main', { main: one, mainNext: two }, 'lost', 'standby', {}],
  // A client's change is pushed in parallel to a main pass.
  ['main', { main: one }, 'change', 'both', { main: one, scoped: small }],
  ['both', { main: one, scoped: other }, 'change', 'both', { main: one, scoped: other, scopedNext: small }],
  [
    'both',
    { main: one, scoped: other, scopedNext: small },
    'scopedDone',
    'both',
    { main: one, scoped: small },
  ],
  ['both', { main: one, scoped: small }, 'scopedDone', 'main', { main: one }],
  [
    'both',
    { main: one, scoped: other, scopedNext: small },
    'many',
    'both',
    { main: one, mainNext: { id: 'small', cause: 'change' }, scoped: other },
  ],
  // A pass for a new configuration keeps the options of the requests that it replaces.
  ['main', { main: one }, 'replaced', 'main', { main: one, mainNext: configured }],
  [
    'main',
    { main: { ...one, full: true } },
    'replaced',
    'main',
    { main: { ...one, full: true }, mainNext: { ...configured, full: true } },
  ],
  [
    'both',
    { main: one, mainNext: two, scoped: { ...other, now: true } },
    'replaced',
    'both',
    {
      main: one,
      mainNext: { id: 'two', cause: 'configuration', now: true },
      scoped: { ...other, now: true },
    },
  ],
];
for (const [state, given, event, expected, after] of rows) {
  test(`in ${state} ${JSON.stringify(given)}, ${event} leads to ${expected} ${JSON.stringify(after)}`, () => {
    const result = step(state, given, event);
    assert.deepEqual([result.state, result.lanes], [expected, inLanes(after)]);
  });
}

/** Whether a request is queued, by the state of the link. */
const requests: [EventName, State, Record<keyof typeof links, boolean>][] = [
  ['gained', 'standby', { open: true, closed: false, none: false, paused: false }],
  ['wanted', 'takingTerm', { open: true, closed: false, none: false, paused: false }],
  ['wanted', 'main', { open: true, closed: false, none: false, paused: false }],
  ['fullNow', 'main', { open: true, closed: true, none: true, paused: false }],
  ['replaced', 'takingTerm', { open: true, closed: false, none: false, paused: false }],
  ['replaced', 'main', { open: true, closed: false, none: false, paused: false }],
];
for (const [event, state, row] of requests) {
  for (const [link, isQueued] of Object.entries(row) as [keyof typeof links, boolean][]) {
    test(`in ${state} with the link ${link}, the request of ${event} is ${isQueued ? 'queued' : 'dropped'}`, () => {
      const { lanes } = step(state, running[state], event, link);
      assert.equal(lanes.main.next !== undefined, isQueued);
    });
  }
}

test('a queued pass whose window closed is skipped, and an event is emitted', () => {
  const asked = { ...two, asked: true };
  const after = step('main', { main: one, mainNext: asked }, 'done', 'closed');
  assert.deepEqual([after.state, after.lanes], ['idle', inLanes({})]);
  assert.deepEqual(after.emitted, [
    { type: 'pass.skipped', pass: { request: asked, link: linkAt(CLOSED, NOON) } },
  ]);
});

test('a queued pass is skipped when the link was paused, also one with `now`', () => {
  const now = { ...two, asked: true, now: true };
  const after = step('main', { main: one, mainNext: now }, 'done', 'paused');
  assert.deepEqual([after.state, after.lanes], ['idle', inLanes({})]);
  assert.deepEqual(after.emitted, [
    { type: 'pass.skipped', pass: { request: now, link: linkAt(PAUSED, NOON) } },
  ]);
});

test('a pass that was requested with `now` begins outside the window, and has no deadline', () => {
  const now = { ...two, now: true };
  const after = step('main', { main: one, mainNext: now }, 'done', 'closed');
  assert.equal(after.state, 'main');
  assert.deepEqual(after.inputs[0]?.input, { request: now, term });
});

test('a pass receives the term, and the end of its window as its deadline', () => {
  const after = step('takingTerm', { mainNext: one }, 'term');
  const [termTasks, , makePass] = after.inputs;
  assert.deepEqual(termTasks?.input, { term });
  assert.deepEqual(makePass?.input, { request: one, term, until: NOON + HOUR_MS });
});

test('a gained lease is emitted with the current use of the link', () => {
  const { emitted } = step('standby', {}, 'gained', 'closed');
  assert.deepEqual(emitted, [{ type: 'lease.gained', link: linkAt(CLOSED, NOON) }]);
});

test('replaced passes are interrupted, in an open and in a closed window', () => {
  for (const link of ['open', 'closed'] as const) {
    assert.deepEqual(step('both', running.both, 'replaced', link).emitted, [{ type: 'passes.interrupted' }]);
  }
});

test('a new schedule applies from the next request on', () => {
  const { context } = step('main', running.main, 'closes');
  assert.deepEqual(context.times, CLOSED);
});
