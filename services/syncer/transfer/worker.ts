import { createActor, toPromise } from 'xstate';
import type { Verdict } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import {
  type TransferJob,
  transferDelayed,
  transferFailed,
  transferFinished,
  transferPaused,
  transferProgressed,
  transferStarted,
} from '#proto/sync/transfers.ts';
import type { SyncerActivity } from './syncer-status.ts';
import type { Outcome } from './transfer.machine.ts';
import { downActor, type StepDeps } from './transfer-steps.ts';
import { type UpDeps, upActor } from './upload-steps.ts';

type About = Omit<TransferJob, 'until' | 'from' | 'again' | 'part'> & { syncer: string };

const PROGRESS_MS = 1_000;
/** Where many go at a time each tells less often, so that this history does not push out all other. */
const PROGRESS_SHARE_MS = 250;
/** Node's timers take no longer waits. */
const MAX_MS = 2 ** 31 - 1;
/** How long a job rests whose blob another syncer holds, in whole ms: the queue takes no others; jitter comes on top. */
const HELD_MS = 1_500;

export type WorkerDeps = Omit<StepDeps & UpDeps, 'started' | 'progress'> & {
  activity: Pick<SyncerActivity, 'take'>;
};

/**
 * Carries out one job: a transfer machine from its start to its end, told to the bus step by step. One whose window
 * closes ends in good order and is forgotten, as is one that is taken later: the next pass wishes for it anew.
 */
export async function transfer(deps: WorkerDeps, job: TransferJob): Promise<Verdict> {
  const { pass, until, from, again, part, ...blob } = job;
  const { bus, by, log } = deps;
  if (until !== undefined && Date.now() >= until) return 'done';
  const closed = new AbortController();
  const closing =
    until === undefined
      ? undefined
      : setTimeout(
          () => closed.abort(new Fault('window-closed', 'the window closed')),
          Math.min(MAX_MS, until - Date.now()),
        );
  const signal = AbortSignal.any([deps.signal, closed.signal]);
  using hand = deps.activity.take(blob);
  const about: About = { ...blob, pass, syncer: by };
  let told = Date.now();
  let at = 0;
  let last = 'locating';
  const own = {
    ...deps,
    signal,
    started: (present: number) => {
      at = present;
      told = Date.now();
      hand.reached(present);
      bus.publish(transferStarted, { ...about, present });
    },
    progress: (done: number) => {
      hand.reached(done);
      const apart = Math.max(PROGRESS_MS, PROGRESS_SHARE_MS * deps.slots.count);
      const now = Date.now();
      if (now - told < apart) return;
      const rate = Math.max(0, Math.round(((done - at) * 1_000) / (now - told)));
      told = now;
      at = done;
      bus.publish(transferProgressed, { ...about, done, rate });
    },
  };
  const machine = blob.direction === 'up' ? upActor(own, { until, from, again }) : downActor(own);
  const actor = createActor(machine, { input: { ...blob, ...(part && { part }) } });
  actor.subscribe({
    next: ({ value, context: { fault, until } }) => {
      if (value === 'waiting' && last !== 'waiting' && fault) {
        hand.waits(until);
        bus.publish(transferDelayed, { ...about, code: fault.code, reason: fault.message, until });
        log.warn({ digest: blob.digest, code: fault.code, ms: until - Date.now() }, fault.message);
      }
      last = String(value);
    },
    // Its promise tells.
    error: () => {},
  });
  const cancel = () => actor.send({ type: 'transfer.cancel' });
  signal.addEventListener('abort', cancel, { once: true });
  try {
    actor.start();
    const outcome = await toPromise(actor);
    if (outcome.result === 'failed' && (closed.signal.aborted || outcome.fault?.code === 'window-closed')) {
      bus.publish(transferPaused, about);
      return 'done';
    }
    return conclude(deps, about, outcome);
  } finally {
    clearTimeout(closing);
    signal.removeEventListener('abort', cancel);
  }
}

function conclude(
  { bus, log, signal }: WorkerDeps,
  about: About,
  { result, fault, mounted }: Outcome,
): Verdict {
  if (result === 'present') {
    bus.publish(transferFinished, { ...about, ...(mounted && { mounted }) });
    return 'done';
  }
  if (result === 'held') return { again: Math.round(HELD_MS * (1 + Math.random())) };
  if (signal.aborted) return { again: 0 };
  const { code, message } = fault ?? { code: 'internal', message: 'the transfer failed' };
  const status = Number(fault?.detail?.status);
  bus.publish(transferFailed, {
    ...about,
    code,
    reason: message,
    ...(Number.isInteger(status) && { status }),
  });
  log.warn({ digest: about.digest, code }, `transfer given up for this pass: ${message}`);
  return 'done';
}
