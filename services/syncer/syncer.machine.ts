import { assign, emit, fromCallback, fromPromise, setup } from 'xstate';
import { merged, type Wish } from './wish.ts';

/**
 * What a syncer process does about passes. Only the coordinator makes them; every syncer carries out transfers, which
 * this machine knows nothing of.
 *
 *   following ──lease.gained──► leading
 *       ▲                         idle ◄──────────────┐
 *       │                          │ pass.wanted      │ done, none wanted
 *       └──────lease.lost────────  ▼                  │
 *                                 passing ────────────┘
 *                                  │  ▲
 *                                  └──┘ done, another one wanted
 *
 * A pass begins when the lease is gained and the link may be used. A pass wanted while one is under way comes right after it, once, whoever
 * wants it: it began after the wishes, so it answers them all.
 */
export type SyncerEvent =
  | { type: 'lease.gained'; pass?: Wish }
  | { type: 'lease.lost' }
  | { type: 'pass.wanted'; pass: Wish };

export type SyncerContext = { current: Wish | undefined; next: Wish | undefined };

export const syncerMachine = setup({
  types: {
    context: {} as SyncerContext,
    events: {} as SyncerEvent,
    emitted: {} as { type: 'leading' } | { type: 'following' },
  },
  actors: {
    makePass: fromPromise<void, Wish>(() => Promise.reject(new Error('no such step was given'))),
    clock: fromCallback(() => {}),
  },
  actions: {
    begin: assign(({ context }) => ({ current: context.next, next: undefined })),
    end: assign({ current: undefined }),
    // The first wish that waits keeps its name: its answer has been given.
    want: assign(({ context, event }) =>
      'pass' in event && event.pass ? { next: merged(context.next, event.pass) } : {},
    ),
  },
  guards: { wanted: ({ context }) => context.next !== undefined },
}).createMachine({
  id: 'syncer',
  context: { current: undefined, next: undefined },
  initial: 'following',
  states: {
    following: {
      entry: [assign({ current: undefined, next: undefined }), emit({ type: 'following' })],
      on: { 'lease.gained': { target: 'leading', actions: 'want' } },
    },
    leading: {
      entry: emit({ type: 'leading' }),
      invoke: { src: 'clock' },
      on: { 'lease.lost': 'following', 'pass.wanted': { actions: 'want' } },
      initial: 'idle',
      states: {
        idle: {
          always: { guard: 'wanted', target: 'passing' },
        },
        passing: {
          entry: 'begin',
          exit: 'end',
          invoke: {
            src: 'makePass',
            input: ({ context }) => context.current as Wish,
            onDone: 'idle',
            onError: 'idle',
          },
        },
      },
    },
  },
});
