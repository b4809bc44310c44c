import { assign, emit, fromCallback, fromPromise, setup } from 'xstate';
import type { ScheduleTimes } from '#proto/schedule/window.ts';
import type { PassRequest } from '../reconcile/context/pass-request.ts';
import { type LinkUse, linkAt } from '../schedule/link-schedule.ts';
import { missing, present } from '../transfer/machine-states.ts';
import {
  begin,
  type CurrentPass,
  emptyLanes,
  end,
  enqueue,
  type LaneName,
  type Lanes,
  mayBegin,
  mayUse,
  replacement,
} from './lanes.ts';
import type { PassInput } from './pass-runner.ts';
import type { TermState } from './term-tasks.ts';

/**
 * Leadership and passes of one syncer process. Only the coordinator makes passes. Transfers, which every syncer
 * executes, are not part of this machine.
 *
 *   standby ──lease.gained──► takingTerm ──term──► leading: two lanes, main and scoped, each
 *       ▲                          │                idle ◄──────────────┐
 *       │                          │                 │ pass.wanted      │ done, none wanted
 *       └──────lease.lost──────────┴───────────────  ▼                  │
 *                                                   passing ────────────┘
 *                                                    │  ▲
 *                                                    └──┘ done, another one wanted
 *
 * In `standby`, another process may coordinate; in `takingTerm`, this one has the lease and asks storage for a term. A
 * pass begins when the lease is held, storage has given a term, and the link may be used. The link is checked twice:
 * when a pass is requested, and when it is about to begin (`beginning`, which takes no time). A request that arrives
 * while a pass of its lane is running is queued; all queued requests of a lane are merged into one pass, which begins
 * after them and so answers them all. Changes by clients are pushed in scoped passes, in parallel to an unscoped one
 * that may take hours.
 *
 * The machine reads the clock, and does no other I/O: its actors are provided (`coordinator.ts`).
 */
export type SyncerEvent =
  /** `pass`: requested with the lease. */
  | { type: 'lease.gained'; pass: PassRequest }
  | { type: 'lease.lost' }
  | { type: 'pass.wanted'; pass: PassRequest }
  /** The running passes are interrupted, and `pass` follows them. */
  | { type: 'passes.replaced'; pass: PassRequest }
  /** Schedule, window or pause changed; undefined if no parent is configured. */
  | { type: 'times.changed'; times: ScheduleTimes | undefined };

export type SyncerEmitted =
  /** Answers the event of the same name, with the link as it is then. */
  | { type: 'lease.gained'; link: LinkUse | undefined }
  /** A pass did not begin: the window closed, the link was paused or the parent removed while it was queued. */
  | { type: 'pass.skipped'; pass: CurrentPass }
  | { type: 'passes.interrupted' };

export type SyncerContext = Lanes & {
  /** Schedule, window and pause in force; undefined if no parent is configured. */
  times: ScheduleTimes | undefined;
  /** While this process is the coordinator. */
  term: TermState | undefined;
};

type SyncerState = { context: SyncerContext };

/** Whether the parent's change feed is followed: the clock begins no passes then. */
export const isFollowing = ({ context: { term } }: SyncerState): boolean =>
  term?.changeCursor.followed === true;

/**
 * Id of the pass that answers the last request, with a scope or without; undefined if none is running or queued. A
 * scope that became too large is answered by a pass without one.
 */
export const requestedPass = (
  { context: { main, scoped } }: SyncerState,
  isScoped = false,
): string | undefined => {
  const lastOf = ({ next, current }: Lanes[LaneName]) => (next ?? current?.request)?.id;
  return (isScoped && lastOf(scoped)) || lastOf(main);
};

const linkNow = ({ times }: SyncerContext): LinkUse | undefined => times && linkAt(times, Date.now());

const passInput = (context: SyncerContext, name: LaneName): PassInput => {
  const { request, link } = present(context[name].current);
  const until = request.now ? undefined : link?.until;
  return { request, term: present(context.term), ...(until !== undefined && { until }) };
};

const lane = <N extends LaneName>(name: N) =>
  ({
    initial: 'idle',
    states: {
      idle: {
        entry: { type: 'end', params: { name } },
        always: { guard: { type: 'wanted', params: { name } }, target: 'beginning' },
      },
      beginning: {
        entry: { type: 'begin', params: { name } },
        always: [
          { guard: { type: 'mayBegin', params: { name } }, target: 'passing' },
          { target: 'idle', actions: { type: 'skip', params: { name } } },
        ],
      },
      passing: {
        invoke: {
          src: 'makePass',
          input: ({ context }: { context: SyncerContext }) => passInput(context, name),
          onDone: 'idle',
          onError: 'idle',
        },
      },
    },
  }) as const;

export const syncerMachine = setup({
  types: {
    context: {} as SyncerContext,
    input: {} as { times: ScheduleTimes | undefined },
    events: {} as SyncerEvent,
    emitted: {} as SyncerEmitted,
  },
  actors: {
    makePass: fromPromise<void, PassInput>(missing),
    /** Retries until storage gives a term. */
    takeTerm: fromPromise<TermState>(missing),
    /** Runs for the whole term. */
    termTasks: fromCallback<{ type: never }, { term: TermState }>(() => {}),
    clock: fromCallback(() => {}),
  },
  actions: {
    begin: assign(({ context }, { name }: { name: LaneName }) => ({
      [name]: begin(context[name], linkNow(context)),
    })),
    end: assign(({ context }, { name }: { name: LaneName }) => ({ [name]: end(context[name]) })),
    skip: emit(({ context }, { name }: { name: LaneName }) => ({
      type: 'pass.skipped' as const,
      pass: present(context[name].current),
    })),
    want: assign(({ context, event }) =>
      'pass' in event && mayUse(linkNow(context), event.pass) ? enqueue(context, event.pass) : {},
    ),
    replace: assign(({ context, event }) => {
      if (!('pass' in event)) return {};
      const pass = replacement(context, event.pass);
      return mayUse(linkNow(context), pass) ? enqueue(context, pass) : {};
    }),
  },
  guards: {
    wanted: ({ context }, { name }: { name: LaneName }) => context[name].next !== undefined,
    mayBegin: ({ context }, { name }: { name: LaneName }) => mayBegin(context[name]),
  },
}).createMachine({
  id: 'syncer',
  context: ({ input: { times } }) => ({ ...emptyLanes(), times, term: undefined }),
  on: {
    'times.changed': { actions: assign(({ event: { times } }) => ({ times })) },
  },
  initial: 'standby',
  states: {
    standby: {
      entry: assign(() => ({ ...emptyLanes(), term: undefined })),
      on: {
        'lease.gained': {
          target: 'takingTerm',
          actions: [emit(({ context }) => ({ type: 'lease.gained', link: linkNow(context) })), 'want'],
        },
      },
    },
    takingTerm: {
      invoke: {
        src: 'takeTerm',
        onDone: { target: 'leading', actions: assign(({ event: { output } }) => ({ term: output })) },
      },
      on: {
        'lease.lost': 'standby',
        'pass.wanted': { actions: 'want' },
        'passes.replaced': { actions: 'replace' },
      },
    },
    leading: {
      invoke: [
        { src: 'termTasks', input: ({ context }) => ({ term: present(context.term) }) },
        { src: 'clock' },
      ],
      on: {
        'lease.lost': 'standby',
        'pass.wanted': { actions: 'want' },
        'passes.replaced': { actions: ['replace', emit({ type: 'passes.interrupted' })] },
      },
      type: 'parallel',
      states: { main: lane('main'), scoped: lane('scoped') },
    },
  },
});
