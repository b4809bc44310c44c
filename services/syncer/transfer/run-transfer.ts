import { createActor, toPromise } from 'xstate';
import type { JobVerdict } from '#proto/bus/bus.ts';
import { Fault, type FaultCode } from '#proto/contract/fault.ts';
import {
  type CrossingDelta,
  type SavedBytes,
  type TransferJob,
  transferDelayed,
  transferFailed,
  transferFinished,
  transferPaused,
  transferProgressed,
  transferStarted,
} from '#proto/sync/transfers.ts';
import { tracer } from '#proto/tracing/tracer.ts';
import { Alarm } from '../schedule/alarm.ts';
import type { DeltaStepDeps } from './delta-steps.ts';
import type { downloadMachine } from './download-steps.ts';
import type { TransferRecorder } from './syncer-status.ts';
import type { TransferOutcome } from './transfer.machine.ts';

/** The parts of a job by which its events name the transfer. */
export type About = Omit<
  TransferJob,
  | 'until'
  | 'from'
  | 'resend'
  | 'retryRefused'
  | 'imageContext'
  | 'others'
  | 'delta'
  | 'frames'
  | 'traceparent'
> & { syncer: string; delta?: CrossingDelta };

/** Min interval between progress events of one transfer, in ms. */
const PROGRESS_MS = 1_000;
/** The same, per connection: of many transfers each reports less often, so as not to fill the event history. */
const PROGRESS_SHARE_MS = 250;
/** Min delay of a job whose blob is in transfer already, in whole ms; jitter of up to the same is added. */
const BUSY_MS = 1_500;

/** What a step reports, and what ends it. */
export type StepControl = Pick<
  DeltaStepDeps,
  'signal' | 'started' | 'progress' | 'copied' | 'saved' | 'counters'
>;
type TransferDeps = Pick<DeltaStepDeps, 'bus' | 'by' | 'log' | 'signal' | 'slots'> & {
  activity: TransferRecorder;
};

/** Whether the window is closed. */
export const isOver = (until: number | undefined): boolean => until !== undefined && Date.now() >= until;

/** Whether the link is paused: a transfer then ends as at the end of its window. */
export const isPaused = ({ reason }: AbortSignal): boolean => Fault.is(reason, 'paused');

/** `closed` aborts when the window closes, `signal` then and when the transfer has to stop. */
export function openWindow(stop: AbortSignal, until: number | undefined) {
  const closed = new AbortController();
  const alarm = new Alarm((now) => {
    if (until === undefined || now < until) return until;
    closed.abort(new Fault('window-closed', 'the window closed'));
    return undefined;
  });
  return {
    closed: closed.signal,
    signal: AbortSignal.any([stop, closed.signal]),
    [Symbol.dispose]: () => alarm[Symbol.dispose](),
  };
}

/**
 * `isHandled`: whether the caller continues after this outcome, which is not published then. `cancel`: ends the
 * transfer cleanly.
 */
type Continuation = { isHandled?: (outcome: TransferOutcome) => boolean; cancel?: AbortSignal };

/**
 * Carries out one job: runs a transfer machine to its end and publishes its steps. If the window closes or the link is
 * paused, the transfer ends cleanly and its job is dropped, as is a job that is taken after that: the next pass
 * publishes a new one.
 */
export async function runTransfer(
  deps: TransferDeps,
  job: TransferJob,
  machineOf: (control: StepControl) => ReturnType<typeof downloadMachine>,
  { isHandled = () => false, cancel: cancelled }: Continuation = {},
): Promise<JobVerdict> {
  const {
    pass,
    until,
    delta,
    others: _others,
    from: _from,
    resend: _resend,
    retryRefused: _retry,
    imageContext,
    frames,
    traceparent: _trace,
    ...blob
  } = job;
  const { bus, by, log } = deps;
  const { counters } = deps.activity;
  const { direction } = blob;
  if (isOver(until) || isPaused(deps.signal)) return 'done';
  using window = openWindow(deps.signal, until);
  const { signal, closed } = window;
  using active = deps.activity.begin(blob);
  const crossing = delta && { delta: { digest: delta.digest, size: delta.size } };
  active.crosses(crossing?.delta);
  const about: About = { ...blob, pass, syncer: by, ...crossing };
  let saved: SavedBytes | undefined;
  let publishedAt = performance.now();
  let publishedBytes = 0;
  /** Bytes that are here and did not cross the link. */
  let made = 0;
  const madeBytes = () => (made > 0 ? { made } : {});
  let lastState = 'locating';
  let attempts = 0;
  const machine = machineOf({
    signal,
    counters,
    started: (present, madeBefore = 0) => {
      attempts += 1;
      made = madeBefore;
      // Later attempts find what this transfer itself has moved.
      if (attempts === 1) counters.bytes(direction, 'reused', present - made);
      publishedBytes = present;
      publishedAt = performance.now();
      active.attempts(present);
      bus.publish(transferStarted, { ...about, present, ...madeBytes() });
    },
    copied: (bytes, done) => {
      made += bytes;
      active.copied(bytes);
      publishedBytes += bytes;
      // At once: they do not count in the rate of the link.
      if (bytes > 0) bus.publish(transferProgressed, { ...about, done, ...madeBytes() });
    },
    saved: (bytes) => {
      saved = bytes;
    },
    progress: (done, isLast = false) => {
      active.reached(done);
      const intervalMs = Math.max(PROGRESS_MS, PROGRESS_SHARE_MS * deps.slots.count);
      const now = performance.now();
      if (now - publishedAt < intervalMs && !isLast) return;
      const ms = Math.max(1, now - publishedAt);
      const rate = Math.max(0, Math.round(((done - publishedBytes) * 1_000) / ms));
      publishedAt = now;
      publishedBytes = done;
      bus.publish(transferProgressed, { ...about, done, ...madeBytes(), rate });
    },
  });
  const input = { ...blob, ...(imageContext && { imageContext }), ...(frames && { frames }) };
  const actor = createActor(machine, { input });
  actor.subscribe({
    next: ({ value, context: { fault, until } }) => {
      if (value === 'waiting' && lastState !== 'waiting' && fault) {
        const { code, message: reason } = fault;
        active.waits(until, code);
        counters.delayed(direction, code);
        bus.publish(transferDelayed, {
          ...about,
          code,
          reason,
          until,
          ...(fault.detail?.isSlow === true && { slow: true }),
        });
        log.warn({ digest: blob.digest, code, reason, ms: until - Date.now() }, 'transfer delayed; retrying');
      }
      lastState = String(value);
    },
    // Reported by `toPromise`.
    error: () => {},
  });
  const cancel = () => actor.send({ type: 'transfer.cancel' });
  const ends = cancelled ? [signal, cancelled] : [signal];
  for (const one of ends) one.addEventListener('abort', cancel, { once: true });
  try {
    actor.start();
    if (cancelled?.aborted) cancel();
    const outcome = await toPromise(actor);
    const isStopped = closed.aborted || isPaused(deps.signal) || outcome.fault?.code === 'window-closed';
    if (outcome.result === 'failed' && isStopped) {
      counters.ended(direction, 'paused');
      bus.publish(transferPaused, about);
      return 'done';
    }
    if (!signal.aborted && isHandled(outcome)) return 'done';
    return conclude(deps, about, { ...outcome, saved, hasBegun: attempts > 0 });
  } finally {
    for (const one of ends) one.removeEventListener('abort', cancel);
  }
}

/** `hasBegun`: an attempt has; without one, the blob was at the far end already. */
type Conclusion = TransferOutcome & { saved: SavedBytes | undefined; hasBegun: boolean };

function conclude(
  { bus, log, signal, activity: { counters } }: TransferDeps,
  about: About,
  { result, fault, mounted, saved, hasBegun }: Conclusion,
): JobVerdict {
  const { direction, size } = about;
  if (result === 'present') {
    counters.ended(direction, mounted ? 'mounted' : 'finished');
    if (mounted) counters.bytes(direction, 'mounted', size);
    if (saved) counters.saved(direction, saved.by, saved.bytes, saved.cpuMs);
    const how = mounted ? { mounted } : saved ? { saved } : hasBegun ? {} : { held: true };
    bus.publish(transferFinished, { ...about, ...how });
    return 'done';
  }
  if (result === 'busy') return { retryMs: Math.round(BUSY_MS * (1 + Math.random())) };
  if (signal.aborted) return { retryMs: 0 };
  const { code, message } = fault ?? { code: 'internal', message: 'the transfer failed' };
  tracer?.current?.fail(new Fault(code as FaultCode, message));
  const status = Number(fault?.detail?.status);
  counters.failed(direction, code);
  bus.publish(transferFailed, {
    ...about,
    code,
    reason: message,
    ...(Number.isInteger(status) && { status }),
  });
  log.warn({ digest: about.digest, code, reason: message }, 'transfer failed');
  return 'done';
}
