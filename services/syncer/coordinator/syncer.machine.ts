import { assign, emit, fromCallback, fromPromise, setup } from 'xstate';
import { mergeRequests, type PassRequest } from '../reconcile/context/pass-request.ts';

/**
 * Leadership and passes of one syncer process. Only the coordinator makes passes. Transfers, which every syncer
 * executes, are not part of this machine.
 *
 *   following ──lease.gained──► claiming ──term──► leading: two lanes, main and scoped, each
 *       ▲                          │                idle ◄──────────────┐
 *       │                          │                 │ pass.wanted      │ done, none wanted
 *       └──────lease.lost──────────┴───────────────  ▼                  │
 *                                                   passing ────────────┘
 *                                                    │  ▲
 *                                                    └──┘ done, another one wanted
 *
 * A pass begins when the lease is held, storage has given a term, and the link may be used. A request that arrives
 * while a pass of its lane is running is queued; all queued requests of a lane are merged into one pass, which begins
 * after them and so answers them all. Changes by clients are pushed in scoped passes, in parallel to an unscoped one
 * that may take hours.
 */
export type SyncerEvent =
  | { type: 'lease.gained'; pass?: PassRequest }
  | { type: 'lease.lost' }
  | { type: 'pass.wanted'; pass: PassRequest };

export type Lane = { current?: PassRequest; next?: PassRequest };
export type SyncerContext = Record<LaneName, Lane>;
export type LaneName = 'main' | 'scoped';

/** Queues a request. If the merged scope exceeds its limit, it is queued as an unscoped pass. */
function enqueue({ main, scoped }: SyncerContext, passRequest: PassRequest): SyncerContext {
  if (!passRequest.scope) return { main: { ...main, next: mergeRequests(main.next, passRequest) }, scoped };
  const next = mergeRequests(scoped.next, passRequest);
  if (next.scope) return { main, scoped: { ...scoped, next } };
  const { next: _, ...rest } = scoped;
  return { main: { ...main, next: mergeRequests(main.next, next) }, scoped: rest };
}

const nothing = (): SyncerContext => ({ main: {}, scoped: {} });

const lane = <N extends LaneName>(name: N) =>
  ({
    initial: 'idle',
    states: {
      idle: { always: { guard: { type: 'wanted', params: { name } }, target: 'passing' } },
      passing: {
        entry: { type: 'begin', params: { name } },
        exit: { type: 'end', params: { name } },
        invoke: {
          src: 'makePass',
          input: ({ context }: { context: SyncerContext }) => context[name].current as PassRequest,
          onDone: 'idle',
          onError: 'idle',
        },
      },
    },
  }) as const;

export const syncerMachine = setup({
  types: {
    context: {} as SyncerContext,
    events: {} as SyncerEvent,
    emitted: {} as { type: 'leading' } | { type: 'following' },
  },
  actors: {
    makePass: fromPromise<void, PassRequest>(() => Promise.reject(new Error('no such step was given'))),
    /** Retries until storage gives a term. */
    takeTerm: fromPromise<void>(() => Promise.reject(new Error('no such step was given'))),
    clock: fromCallback(() => {}),
  },
  actions: {
    begin: assign(({ context }, { name }: { name: LaneName }) => {
      const { next } = context[name];
      return { [name]: next ? { current: next } : {} };
    }),
    end: assign(({ context }, { name }: { name: LaneName }) => {
      const { next } = context[name];
      return { [name]: next ? { next } : {} };
    }),
    // A merged request keeps the id of the first, which its caller has received as the answer.
    want: assign(({ context, event }) => ('pass' in event && event.pass ? enqueue(context, event.pass) : {})),
  },
  guards: { wanted: ({ context }, { name }: { name: LaneName }) => context[name].next !== undefined },
}).createMachine({
  id: 'syncer',
  context: nothing,
  initial: 'following',
  states: {
    following: {
      entry: [assign(nothing), emit({ type: 'following' })],
      on: { 'lease.gained': { target: 'claiming', actions: 'want' } },
    },
    claiming: {
      invoke: { src: 'takeTerm', onDone: 'leading' },
      on: { 'lease.lost': 'following', 'pass.wanted': { actions: 'want' } },
    },
    leading: {
      entry: emit({ type: 'leading' }),
      invoke: { src: 'clock' },
      on: { 'lease.lost': 'following', 'pass.wanted': { actions: 'want' } },
      type: 'parallel',
      states: { main: lane('main'), scoped: lane('scoped') },
    },
  },
});
