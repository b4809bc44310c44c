import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { transition } from 'xstate';
import type { Lanes } from '../../../services/syncer/coordinator/lanes.ts';
import { type SyncerContext, syncerMachine } from '../../../services/syncer/coordinator/syncer.machine.ts';
import type { TermState } from '../../../services/syncer/coordinator/term-tasks.ts';
import type { PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';
import { type LinkUse, linkAt } from '../../../services/syncer/schedule/link-schedule.ts';
import type { ScheduleTimes } from '../../../services/syncer/schedule/window.ts';

const NOON = Date.parse('2027-03-01T12:00:00Z');
mock.timers.enable({ apis: ['Date'], now: NOON });

const HOUR_MS = 3_600_000;
const OPEN: ScheduleTimes = { schedule: '0 12 * * *', windowMs: HOUR_MS };
const CLOSED: ScheduleTimes = { schedule: '0 18 * * *', windowMs: HOUR_MS };
const links = { open: OPEN, closed: CLOSED, none: undefined };
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
  following: 'following',
  claiming: 'claiming',
  idle: lanes('idle', 'idle'),
  main: lanes('passing', 'idle'),
  scoped: lanes('idle', 'passing'),
  both: lanes('passing', 'passing'),
} as const;
type State = keyof typeof states;

const wanted = (pass: PassRequest) => ({ type: 'pass.wanted', pass });
const happenings = {
  gained: { type: 'lease.gained', pass: one },
  lost: { type: 'lease.lost' },
  term: { type: 'xstate.done.actor.0.syncer.claiming', output: term },
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
type Happening = keyof typeof happenings;

/** A pass of each lane that is running, and what is queued behind it. */
type Given = { main?: PassRequest; mainNext?: PassRequest; scoped?: PassRequest; scopedNext?: PassRequest };
const inLanes = ({ main, mainNext, scoped, scopedNext }: Given, link: LinkUse | undefined = open): Lanes => ({
  main: { ...(main && { current: { request: main, link } }), ...(mainNext && { next: mainNext }) },
  scoped: { ...(scoped && { current: { request: scoped, link } }), ...(scopedNext && { next: scopedNext }) },
});

type Step = Parameters<typeof transition<typeof syncerMachine>>;
/** What the machine does in a state: the state after it, the lanes, and what it emits and invokes. */
function step(state: State, given: Given, happening: Happening, link: keyof typeof links = 'open') {
  const isLeading = state !== 'following' && state !== 'claiming';
  const context: SyncerContext = {
    ...inLanes(given),
    times: links[link],
    term: isLeading ? term : undefined,
  };
  const before = syncerMachine.resolveState({ value: states[state], context } as Parameters<
    typeof syncerMachine.resolveState
  >[0]);
  const [after, actions] = transition(syncerMachine, before, happenings[happening] as Step[2]);
  const value = JSON.stringify(after.value);
  const { main, scoped } = after.context;
  return {
    state: Object.entries(states).find(([, one]) => JSON.stringify(one) === value)?.[0] ?? value,
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
  following: {},
  claiming: {},
  idle: {},
  main: { main: two },
  scoped: { scoped: other },
  both: { main: two, scoped: other },
};

/** Complete by type: a new state or happening does not compile until this says what it does. */
const table: Record<State, Record<Happening, State>> = {
  following: { ...every('following'), gained: 'claiming' },
  claiming: { ...every('claiming'), lost: 'following', term: 'idle' },
  idle: {
    ...every('idle'),
    lost: 'following',
    wanted: 'main',
    fullNow: 'main',
    change: 'scoped',
    many: 'scoped',
    replaced: 'main',
  },
  main: {
    ...every('main'),
    lost: 'following',
    change: 'both',
    many: 'both',
    done: 'idle',
    failed: 'idle',
  },
  scoped: {
    ...every('scoped'),
    lost: 'following',
    wanted: 'both',
    fullNow: 'both',
    replaced: 'both',
    scopedDone: 'idle',
    scopedFailed: 'idle',
  },
  both: {
    ...every('both'),
    lost: 'following',
    done: 'scoped',
    failed: 'scoped',
    scopedDone: 'main',
    scopedFailed: 'main',
  },
};

function every(state: State): Record<Happening, State> {
  return Object.fromEntries(Object.keys(happenings).map((name) => [name, state])) as Record<Happening, State>;
}

for (const [state, row] of Object.entries(table) as [State, Record<Happening, State>][]) {
  for (const [happening, expected] of Object.entries(row) as [Happening, State][]) {
    test(`${state}, ${happening}: ${expected}`, () => {
      const after = step(state, running[state], happening);
      assert.equal(after.state, expected);
      if (expected === 'following') assert.deepEqual(after.lanes, inLanes({}));
      assert.equal(
        after.context.term,
        expected === 'following' || expected === 'claiming' ? undefined : term,
      );
    });
  }
}

/** What is queued and what runs afterwards, while the link may be used. */
const rows: [State, Given, Happening, State, Given][] = [
  ['following', {}, 'gained', 'claiming', { mainNext: one }],
  ['following', {}, 'wanted', 'following', {}],
  ['claiming', { mainNext: one }, 'wanted', 'claiming', { mainNext: one }],
  ['claiming', {}, 'fullNow', 'claiming', { mainNext: { ...three, full: true, now: true } }],
  ['claiming', {}, 'replaced', 'claiming', { mainNext: configured }],
  ['claiming', { mainNext: one }, 'term', 'main', { main: one }],
  ['claiming', { mainNext: one, scopedNext: small }, 'term', 'both', { main: one, scoped: small }],
  ['claiming', { mainNext: one }, 'lost', 'following', {}],
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
  ['main', { main: one, mainNext: two }, 'lost', 'following', {}],
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
  // What was requested of the passes that a new configuration interrupts is requested of the one that replaces them.
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
for (const [state, given, happening, expected, after] of rows) {
  test(`${state} ${JSON.stringify(given)}, ${happening}: ${expected} ${JSON.stringify(after)}`, () => {
    const found = step(state, given, happening);
    assert.deepEqual([found.state, found.lanes], [expected, inLanes(after)]);
  });
}

/** What is queued by the state of the link. */
const requests: [Happening, State, Record<keyof typeof links, boolean>][] = [
  ['gained', 'following', { open: true, closed: false, none: false }],
  ['wanted', 'claiming', { open: true, closed: false, none: false }],
  ['wanted', 'main', { open: true, closed: false, none: false }],
  ['fullNow', 'main', { open: true, closed: true, none: true }],
  ['replaced', 'claiming', { open: true, closed: false, none: false }],
  ['replaced', 'main', { open: true, closed: false, none: false }],
];
for (const [happening, state, row] of requests) {
  for (const [link, isQueued] of Object.entries(row) as [keyof typeof links, boolean][]) {
    test(`${state}, ${happening}, link ${link}: ${isQueued ? 'queued' : 'dropped'}`, () => {
      const { lanes } = step(state, running[state], happening, link);
      assert.equal(lanes.main.next !== undefined, isQueued);
    });
  }
}

test('a queued pass whose window closed does not begin, and that is emitted', () => {
  const asked = { ...two, asked: true };
  const after = step('main', { main: one, mainNext: asked }, 'done', 'closed');
  assert.deepEqual([after.state, after.lanes], ['idle', inLanes({})]);
  assert.deepEqual(after.emitted, [
    { type: 'pass.skipped', pass: { request: asked, link: linkAt(CLOSED, NOON) } },
  ]);
});

test('a pass that was requested with `now` begins outside the window, and has no deadline', () => {
  const now = { ...two, now: true };
  const after = step('main', { main: one, mainNext: now }, 'done', 'closed');
  assert.equal(after.state, 'main');
  assert.deepEqual(after.inputs[0]?.input, { request: now, term });
});

test('a pass has the term, and the end of its window as its deadline', () => {
  const after = step('claiming', { mainNext: one }, 'term');
  const [termTasks, , makePass] = after.inputs;
  assert.deepEqual(termTasks?.input, { term });
  assert.deepEqual(makePass?.input, { request: one, term, until: NOON + HOUR_MS });
});

test('a lease is announced with the link as it is', () => {
  const { emitted } = step('following', {}, 'gained', 'closed');
  assert.deepEqual(emitted, [{ type: 'lease.taken', link: linkAt(CLOSED, NOON) }]);
});

test('running passes are interrupted by what replaces them, whatever the link is', () => {
  for (const link of ['open', 'closed'] as const) {
    assert.deepEqual(step('both', running.both, 'replaced', link).emitted, [{ type: 'passes.interrupted' }]);
  }
});

test('a new schedule counts from the next request on', () => {
  const { context } = step('main', running.main, 'closes');
  assert.deepEqual(context.times, CLOSED);
});
