import { assign, fromPromise, setup } from 'xstate';
import { fromWire, toWire, type WireFault } from '#proto/fault.ts';
import type { Claim } from '#proto/ingests.ts';
import type { Digest } from '#proto/names.ts';
import { backOff } from '../link/answers.ts';
import type { Wanted } from './download.ts';

/**
 * One blob comes over the link. It holds no I/O: the actors are given by `transfer-steps.ts`.
 *
 *              ┌─────────────────────────────────────────────┐
 *              ▼                                             │
 *          locating ──claimed──► fetching ──► committing ──► present
 *           │  │  ▲                  │            │
 *    present│  │  │                  └───┬────────┘ fault
 *     ◄─────┘  │  │                      ▼
 *         held │  └──── waiting ◄─── releasing ──► failed
 *              ▼   time is up     may pass    will not pass, or too often
 *            held
 *
 * A start, a resume, a redelivery and a takeover are one path: `locating` asks storage what is here. Nothing is held
 * while it waits. An attempt that brought bytes starts the count of failures anew.
 */
export type Located =
  | { kind: 'present' }
  | { kind: 'held' }
  | { kind: 'claimed'; claim: Claim; clean: boolean };
export type Fetched = { hashed: Digest | undefined };
export type Outcome = { result: 'present' | 'held' | 'failed'; fault: WireFault | undefined };

export type TransferContext = {
  wanted: Wanted;
  claim: Claim | undefined;
  clean: boolean;
  hashed: Digest | undefined;
  fault: WireFault | undefined;
  /** Failures in a row that brought nothing. */
  failures: number;
  /** When the next attempt begins, in ms since 1970. */
  until: number;
  cancelled: boolean;
  result: Outcome['result'];
};

type Attempt = { wanted: Wanted; claim: Claim };
const missing = () => Promise.reject(new Error('no such step was given'));

export const transferMachine = setup({
  types: {
    context: {} as TransferContext,
    input: {} as Wanted,
    output: {} as Outcome,
    events: {} as { type: 'transfer.cancel' },
  },
  actors: {
    locate: fromPromise<Located, Wanted>(missing),
    fetch: fromPromise<Fetched, Attempt & { clean: boolean }>(missing),
    commit: fromPromise<void, Attempt & { hashed: Digest | undefined }>(missing),
    release: fromPromise<void, Attempt>(missing),
    wait: fromPromise<void, { until: number }>(missing),
  },
  actions: {
    note: assign(({ context, event }) => {
      const { error } = event as unknown as { error: unknown };
      const fault = toWire(error);
      const gained = Number(fault.detail?.gained ?? 0);
      const failures = gained > 0 ? 1 : context.failures + 1;
      const wait = backOff(fromWire(fault), failures);
      return { fault, failures, until: wait === undefined || context.cancelled ? 0 : Date.now() + wait };
    }),
  },
  guards: {
    mayPass: ({ context }) => !context.cancelled && context.until > 0,
  },
}).createMachine({
  id: 'transfer',
  context: ({ input }) => ({
    wanted: input,
    claim: undefined,
    clean: true,
    hashed: undefined,
    fault: undefined,
    failures: 0,
    until: 0,
    cancelled: false,
    result: 'failed',
  }),
  on: { 'transfer.cancel': { actions: assign({ cancelled: true, until: 0 }) } },
  initial: 'locating',
  states: {
    locating: {
      invoke: {
        src: 'locate',
        input: ({ context }) => context.wanted,
        onDone: [
          { guard: ({ event }) => event.output.kind === 'present', target: 'present' },
          { guard: ({ event }) => event.output.kind === 'held', target: 'held' },
          {
            guard: ({ context }) => context.cancelled,
            target: 'releasing',
            actions: assign(({ event }) =>
              event.output.kind === 'claimed' ? { claim: event.output.claim } : {},
            ),
          },
          {
            target: 'fetching',
            actions: assign(({ event }) =>
              event.output.kind === 'claimed' ? { claim: event.output.claim, clean: event.output.clean } : {},
            ),
          },
        ],
        onError: { target: 'releasing', actions: 'note' },
      },
    },
    fetching: {
      invoke: {
        src: 'fetch',
        input: ({ context }) => ({ ...attempt(context), clean: context.clean }),
        onDone: { target: 'committing', actions: assign(({ event }) => ({ hashed: event.output.hashed })) },
        onError: { target: 'releasing', actions: 'note' },
      },
    },
    committing: {
      invoke: {
        src: 'commit',
        input: ({ context }) => ({ ...attempt(context), hashed: context.hashed }),
        onDone: 'present',
        onError: { target: 'releasing', actions: 'note' },
      },
    },
    releasing: {
      invoke: {
        src: 'release',
        input: ({ context }) => attempt(context),
        onDone: [{ guard: 'mayPass', target: 'waiting' }, { target: 'failed' }],
        // A claim that could not be given back ends by itself.
        onError: [{ guard: 'mayPass', target: 'waiting' }, { target: 'failed' }],
      },
      exit: assign({ claim: undefined, hashed: undefined }),
    },
    waiting: {
      invoke: {
        src: 'wait',
        input: ({ context }) => ({ until: context.until }),
        onDone: 'locating',
        onError: 'failed',
      },
      on: { 'transfer.cancel': { target: 'failed', actions: assign({ cancelled: true }) } },
    },
    present: { type: 'final', entry: assign({ result: 'present' }) },
    held: { type: 'final', entry: assign({ result: 'held' }) },
    failed: { type: 'final', entry: assign({ result: 'failed' }) },
  },
  output: ({ context: { result, fault } }) => ({ result, fault }),
});

const attempt = ({ wanted, claim }: TransferContext): Attempt => ({ wanted, claim: claim as Claim });
