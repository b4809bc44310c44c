import { createActor, toPromise } from 'xstate';
import { each } from '#proto/async/each.ts';
import type { JobVerdict } from '#proto/bus/bus.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import { MAX_TRANSFER_GROUP } from '#proto/content/ingests.ts';
import { Fault, type FaultCode } from '#proto/contract/fault.ts';
import {
  type CrossingDelta,
  type SavedBytes,
  type TransferJob,
  transferBlob,
  transferDelayed,
  transferFailed,
  transferFinished,
  transferPaused,
  transferProgressed,
  transferStarted,
} from '#proto/sync/transfers.ts';
import { tracer } from '#proto/tracing/tracer.ts';
import { Alarm } from '../schedule/alarm.ts';
import { type DeltaStepDeps, deltaMachine } from './delta-steps.ts';
import type { WantedBlob } from './download.ts';
import { type DownloadStepDeps, downloadMachine } from './download-steps.ts';
import type { FailedDeltas } from './failed-deltas.ts';
import { blobsOf, downloadSmallBlobs } from './small-blobs.ts';
import type { TransferRecorder } from './syncer-status.ts';
import { tracedTransfer } from './traced-transfer.ts';
import type { TransferOutcome } from './transfer.machine.ts';
import { type UploadDeltaDeps, uploadDeltaMachine } from './upload-delta-steps.ts';
import { type UploadStepDeps, uploadMachine } from './upload-steps.ts';

type About = Omit<
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
type StepControl = Pick<DeltaStepDeps, 'signal' | 'started' | 'progress' | 'copied' | 'saved' | 'counters'>;
type RecorderDeps = { activity: TransferRecorder; failedDeltas?: FailedDeltas };
/** What transfers need for deltas. */
export type DeltaTools = Pick<DeltaStepDeps, 'deltas' | 'applier' | 'aside'>;
export type DownloadWorkerDeps = Omit<DownloadStepDeps, keyof StepControl> &
  Pick<DownloadStepDeps, 'signal'> &
  RecorderDeps &
  Partial<DeltaTools>;
/** What uploads need for deltas. */
export type DeltaPushTools = Pick<UploadDeltaDeps, 'pusher' | 'applyMs' | 'aside'>;
export type UploadWorkerDeps = Omit<UploadStepDeps, 'started' | 'progress' | 'counters'> &
  RecorderDeps &
  Partial<DeltaPushTools>;
type WorkerDeps = Pick<
  DownloadWorkerDeps,
  'bus' | 'by' | 'log' | 'signal' | 'slots' | 'activity' | 'failedDeltas'
>;

/**
 * Carries out one job of direction `down`, see `runTransfer`; a group of small blobs as `small-blobs.ts` does. If the
 * delta of the job can't be had or applied, the blob itself crosses the link.
 */
export async function runDownload(deps: DownloadWorkerDeps, job: TransferJob): Promise<JobVerdict> {
  const { others, delta, ...single } = job;
  const one = (blob: WantedBlob, failedDelta = 0) =>
    runTransfer(deps, { ...single, ...blob }, (control) =>
      downloadMachine({ ...deps, ...control, failedDelta }),
    );
  const { deltas, applier } = deps;
  const tools = deltas && applier && { deltas, applier };
  return tracedTransfer(job, () => {
    if (others) return runGroup(deps, job, (blob) => one(blob));
    const plain = () => one(single, delta?.size);
    return delta && tools && !deps.failedDeltas?.has(delta.digest)
      ? runDelta({ ...deps, ...tools }, { ...single, delta }, plain)
      : plain();
  });
}

/**
 * Carries out a job with a delta.
 * @param plain carries it out without; absent: the job fails then
 */
export async function runDelta(
  deps: DownloadWorkerDeps & DeltaTools,
  job: TransferJob & { delta: HeldDelta },
  plain?: () => Promise<JobVerdict>,
): Promise<JobVerdict> {
  const machine = (control: StepControl) =>
    deltaMachine({ ...deps, ...control, stop: deps.signal }, job.delta);
  return runWithDelta(deps, job, machine, plain);
}

async function runWithDelta(
  deps: WorkerDeps,
  job: TransferJob & { delta: HeldDelta },
  machine: (control: StepControl) => ReturnType<typeof downloadMachine>,
  plain: (() => Promise<JobVerdict>) | undefined,
): Promise<JobVerdict> {
  let isPlain = false;
  // Also if it may be the link that failed: it is not known whether the blob crosses it, and a delta is no condition.
  const isHandled = ({ result, fault }: TransferOutcome): boolean => {
    isPlain = plain !== undefined && result === 'failed';
    if (isPlain) {
      const { digest, delta } = job;
      deps.failedDeltas?.add(delta.digest);
      const { code, message: reason } = fault ?? {};
      deps.log.warn({ digest, delta: delta.digest, code, reason }, 'a delta failed: the blob itself crosses');
    }
    return isPlain;
  };
  const verdict = await runTransfer(deps, job, machine, isHandled);
  return plain && isPlain ? plain() : verdict;
}

async function runGroup(
  deps: DownloadWorkerDeps,
  job: TransferJob,
  one: (blob: WantedBlob) => Promise<JobVerdict>,
): Promise<JobVerdict> {
  const { pass, until, direction } = job;
  if (isOver(until) || isPaused(deps.signal)) return 'done';
  using window = openWindow(deps.signal, until);
  const about = ({ repository, digest, size }: WantedBlob): About => ({
    ...{ repository, digest, size, direction },
    pass,
    syncer: deps.by,
  });
  const left = await downloadSmallBlobs({ ...deps, signal: window.signal }, blobsOf(job), {
    started: (blob) => deps.bus.publish(transferStarted, { ...about(blob), present: 0 }),
    finished: (blob) => {
      deps.activity.moved(direction, blob.size);
      deps.activity.counters.ended('down', 'finished');
      deps.bus.publish(transferFinished, about(blob));
    },
  });
  if (window.closed.aborted || isPaused(deps.signal)) {
    for (const blob of left) {
      deps.activity.counters.ended('down', 'paused');
      deps.bus.publish(transferPaused, about(blob));
    }
    return 'done';
  }
  const { others: _, imageContext: _own, ...common } = job;
  const again: WantedBlob[] = [];
  await each(left, MAX_TRANSFER_GROUP, async (blob) => {
    if (deps.signal.aborted || (await one(blob)) !== 'done') again.push(blob);
  });
  // Each by itself: the others of the group are finished, and reported.
  for (const blob of again) await deps.bus.submit(transferBlob.down, { ...common, ...blob });
  return 'done';
}

/** Whether the window is closed. */
const isOver = (until: number | undefined): boolean => until !== undefined && Date.now() >= until;

/** Whether the link is paused: a transfer then ends as at the end of its window. */
const isPaused = ({ reason }: AbortSignal): boolean => Fault.is(reason, 'paused');

/** `closed` aborts when the window closes, `signal` then and when the transfer has to stop. */
function openWindow(stop: AbortSignal, until: number | undefined) {
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
 * Carries out one job of direction `up`, see `runTransfer`. If the delta of the job can't be sent or applied, the blob
 * itself crosses the link.
 */
export async function runUpload(deps: UploadWorkerDeps, job: TransferJob): Promise<JobVerdict> {
  const { delta, ...single } = job;
  const { pusher, applyMs } = deps;
  const tools = pusher && applyMs && { pusher, applyMs };
  const plain = () => runTransfer(deps, single, (control) => uploadMachine({ ...deps, ...control }, single));
  return tracedTransfer(job, () => {
    if (!delta || !tools || deps.failedDeltas?.has(delta.digest)) return plain();
    const machine = (control: StepControl) =>
      uploadDeltaMachine({ ...deps, ...tools, ...control }, single, delta);
    return runWithDelta(deps, { ...job, delta }, machine, plain);
  });
}

/**
 * Carries out one job: runs a transfer machine to its end and publishes its steps. If the window closes or the link is
 * paused, the transfer ends cleanly and its job is dropped, as is a job that is taken after that: the next pass
 * publishes a new one.
 * @param isHandled whether the caller continues after this outcome, which is not published then
 */
async function runTransfer(
  deps: WorkerDeps,
  job: TransferJob,
  machineOf: (control: StepControl) => ReturnType<typeof downloadMachine>,
  isHandled: (outcome: TransferOutcome) => boolean = () => false,
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
  signal.addEventListener('abort', cancel, { once: true });
  try {
    actor.start();
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
    signal.removeEventListener('abort', cancel);
  }
}

/** `hasBegun`: an attempt has; without one, the blob was at the far end already. */
type Conclusion = TransferOutcome & { saved: SavedBytes | undefined; hasBegun: boolean };

function conclude(
  { bus, log, signal, activity: { counters } }: WorkerDeps,
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
