import { assign, fromPromise, setup } from 'xstate';
import { fromWire, toWire, type WireFault } from '#proto/contract/fault.ts';
import { retryDelay } from '../link/answers/answers.ts';
import type { WantedBlob } from './download.ts';
import { missing, present } from './machine-states.ts';

/**
 * A transfer moves one blob over the link, down from the parent or up to it. A `WorkerPool` (`worker-pool.ts`) for each
 * direction takes jobs from the queue, as many as `pace/concurrency.ts` finds useful. `worker.ts` decides how each job
 * is done; `run-transfer.ts` runs a `transferMachine` to its end and publishes its progress.
 *
 * The machine holds no I/O: `locate` and `wait` are provided, and what `locate` claims has the other steps (`Hold`).
 * `download-steps.ts` has them for a download: `download.ts` fetches the missing pieces of the blob (`pieces/`), and a
 * group of small blobs goes without the machine (`small-blobs.ts`). `delta-steps.ts` has them for a blob that comes as
 * a delta, which is transferred as a blob is, and then applied. `upload-steps.ts` has them for an upload: `upload.ts`
 * sends pieces in a session at the parent, under the lease of `upload-lease.ts`; `upload-delta-steps.ts` has them for a
 * blob that goes up as a delta. `steps.ts` has what all share.
 *
 *              ┌─────────────────────────────────────────────┐
 *              ▼                                             │
 *          locating ──claimed──► moving ───► committing ──► present
 *           │  │  ▲                  │            │
 *    present│  │  │                  └───┬────────┘ fault
 *     ◄─────┘  │  │                      ▼
 *         busy │  └──── waiting ◄─── releasing ──► failed
 *              ▼   time is up     may retry    will not pass, or too often
 *            busy
 *
 * A start, a resume, a redelivery and a takeover are one path: `locating` asks the far end which bytes it has. No claim
 * is held while the machine waits. An attempt that moved bytes restarts the count of failures.
 */

/** The exclusive right to transfer the blob, and the steps that need it. Of one attempt. */
export type Hold = {
  move(): Promise<void>;
  /** Called once all is moved. It gives up the right, too. */
  commit(): Promise<void>;
  release(): Promise<void>;
  /** In place of `release`, if what arrived is of no use any more. */
  discard?(): Promise<void>;
};

/** Result of `locating`. */
export type Located =
  /** `mounted`: it became present just now, and no byte crossed the link. */
  { kind: 'present'; mounted?: boolean } | { kind: 'busy' } | { kind: 'claimed'; hold: Hold };
export type TransferOutcome = {
  /** `busy`: another transfer of the blob is running. */
  result: 'present' | 'busy' | 'failed';
  mounted: boolean;
  fault: WireFault | undefined;
};

export type TransferContext = {
  wanted: WantedBlob;
  /** From `locating` to `releasing`. */
  hold: Hold | undefined;
  mounted: boolean;
  fault: WireFault | undefined;
  /** Failures in a row that moved no bytes. */
  failures: number;
  /** When the next attempt begins, in ms since 1970; 0: none follows. */
  until: number;
  cancelled: boolean;
  result: TransferOutcome['result'];
};

const noteFault = {
  type: 'note',
  params: ({ event }: { event: { error: unknown } }) => ({ error: event.error }),
} as const;

export const transferMachine = setup({
  types: {
    context: {} as TransferContext,
    input: {} as WantedBlob,
    output: {} as TransferOutcome,
    events: {} as { type: 'transfer.cancel' },
  },
  actors: {
    locate: fromPromise<Located, WantedBlob>(missing),
    move: fromPromise<void, Hold>(({ input: hold }) => hold.move()),
    commit: fromPromise<void, Hold>(({ input: hold }) => hold.commit()),
    release: fromPromise<void, Hold | undefined>(async ({ input: hold }) => hold?.release()),
    wait: fromPromise<void, { until: number }>(missing),
  },
  actions: {
    note: assign(({ context }, { error }: { error: unknown }) => {
      const fault = toWire(error);
      const gained = Number(fault.detail?.gained ?? 0);
      const failures = gained > 0 ? 1 : context.failures + 1;
      const wait = retryDelay(fromWire(fault), failures);
      return { fault, failures, until: wait === undefined || context.cancelled ? 0 : Date.now() + wait };
    }),
  },
  guards: {
    mayRetry: ({ context }) => !context.cancelled && context.until > 0,
  },
}).createMachine({
  id: 'transfer',
  context: ({ input }) => ({
    wanted: input,
    hold: undefined,
    mounted: false,
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
          {
            guard: ({ event }) => event.output.kind === 'present',
            target: 'present',
            actions: assign(({ event }) => ({
              mounted: 'mounted' in event.output && !!event.output.mounted,
            })),
          },
          { guard: ({ event }) => event.output.kind === 'busy', target: 'busy' },
          {
            guard: ({ context }) => context.cancelled,
            target: 'releasing',
            actions: assign(({ event }) =>
              event.output.kind === 'claimed' ? { hold: event.output.hold } : {},
            ),
          },
          {
            target: 'moving',
            actions: assign(({ event }) =>
              event.output.kind === 'claimed' ? { hold: event.output.hold } : {},
            ),
          },
        ],
        onError: { target: 'releasing', actions: noteFault },
      },
    },
    moving: {
      invoke: {
        src: 'move',
        input: ({ context }) => present(context.hold),
        onDone: 'committing',
        onError: { target: 'releasing', actions: noteFault },
      },
    },
    committing: {
      invoke: {
        src: 'commit',
        input: ({ context }) => present(context.hold),
        onDone: 'present',
        onError: { target: 'releasing', actions: noteFault },
      },
    },
    releasing: {
      invoke: {
        src: 'release',
        input: ({ context }) => context.hold,
        onDone: [{ guard: 'mayRetry', target: 'waiting' }, { target: 'failed' }],
        // A claim that could not be released expires by itself.
        onError: [{ guard: 'mayRetry', target: 'waiting' }, { target: 'failed' }],
      },
      exit: assign({ hold: undefined }),
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
    busy: { type: 'final', entry: assign({ result: 'busy' }) },
    failed: { type: 'final', entry: assign({ result: 'failed' }) },
  },
  output: ({ context: { result, mounted, fault } }) => ({ result, mounted, fault }),
});
