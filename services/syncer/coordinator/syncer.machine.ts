import { assign, emit, fromCallback, fromPromise, setup } from 'xstate';
import { merged, type PassRequest } from '../reconcile/context/pass-request.ts';

/**
 * What a syncer process does about passes. Only the coordinator makes them; every syncer carries out transfers, which
 * this machine knows nothing of.
 *
 *   following ──lease.gained──► claiming ──term──► leading: two lanes, whole and scoped, each
 *       ▲                          │                idle ◄──────────────┐
 *       │                          │                 │ pass.wanted      │ done, none wanted
 *       └──────lease.lost──────────┴───────────────  ▼                  │
 *                                                   passing ────────────┘
 *                                                    │  ▲
 *                                                    └──┘ done, another one wanted
 *
 * A pass begins when the lease is gained, storage knows whose passes it is to take from now on, and the link may be
 * used. One that is wanted while another of its lane is
 * under way comes right after it, once, whoever wants it: it began after the wishes, so it answers them all. What a
 * client changed goes up in a scoped pass, beside a whole one that may take hours.
 */
export type SyncerEvent =
  | { type: 'lease.gained'; pass?: PassRequest }
  | { type: 'lease.lost' }
  | { type: 'pass.wanted'; pass: PassRequest };

export type Lane = { current?: PassRequest; next?: PassRequest };
export type SyncerContext = Record<LaneName, Lane>;
export type LaneName = 'whole' | 'scoped';

/** Scopes that are too many together make a whole pass. */
function want({ whole, scoped }: SyncerContext, passRequest: PassRequest): SyncerContext {
  if (!passRequest.scope) return { whole: { ...whole, next: merged(whole.next, passRequest) }, scoped };
  const next = merged(scoped.next, passRequest);
  if (next.scope) return { whole, scoped: { ...scoped, next } };
  const { next: _, ...rest } = scoped;
  return { whole: { ...whole, next: merged(whole.next, next) }, scoped: rest };
}

const nothing = (): SyncerContext => ({ whole: {}, scoped: {} });

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
    /** Goes on until storage has given a term. */
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
    // The first wish that waits keeps its name: its answer has been given.
    want: assign(({ context, event }) => ('pass' in event && event.pass ? want(context, event.pass) : {})),
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
      states: { whole: lane('whole'), scoped: lane('scoped') },
    },
  },
});
