import { each } from '#proto/async/each.ts';
import type { JobVerdict } from '#proto/bus/bus.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import { MAX_TRANSFER_GROUP } from '#proto/content/ingests.ts';
import {
  type TransferJob,
  transferBlob,
  transferFinished,
  transferPaused,
  transferStarted,
} from '#proto/sync/transfers.ts';
import { type DeltaStepDeps, deltaMachine } from './delta-steps.ts';
import type { FailedDeltas } from './deltas/failed-deltas.ts';
import type { OfferedDeltas } from './deltas/offered-deltas.ts';
import type { WantedBlob } from './download.ts';
import { type DownloadStepDeps, downloadMachine } from './download-steps.ts';
import { type About, isOver, isPaused, openWindow, runTransfer, type StepControl } from './run-transfer.ts';
import { blobsOf, downloadSmallBlobs } from './small-blobs.ts';
import type { TransferRecorder } from './syncer-status.ts';
import { tracedTransfer } from './traced-transfer.ts';
import type { TransferOutcome } from './transfer.machine.ts';
import { giveUpDelta, type UploadDeltaDeps, uploadDeltaMachine } from './upload-delta-steps.ts';
import { type UploadStepDeps, uploadMachine } from './upload-steps.ts';

type RecorderDeps = { activity: TransferRecorder; failedDeltas?: FailedDeltas };
/** What transfers need for deltas. */
export type DeltaTools = Pick<DeltaStepDeps, 'deltas' | 'applier' | 'aside'>;
export type DownloadWorkerDeps = Omit<DownloadStepDeps, keyof StepControl> &
  Pick<DownloadStepDeps, 'signal'> &
  RecorderDeps &
  Partial<DeltaTools> & {
    /** Absent: a blob that begins to cross the link in full does not continue as a delta. */
    offered?: OfferedDeltas;
  };
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
 * delta of the job can't be had or applied, the blob itself crosses the link. A blob that crosses it in full continues
 * as a delta if one is offered meanwhile.
 */
export async function runDownload(deps: DownloadWorkerDeps, job: TransferJob): Promise<JobVerdict> {
  const { others, delta, ...single } = job;
  const one = (blob: WantedBlob, failedDelta = 0) =>
    runTransfer(deps, { ...single, ...blob }, (control) =>
      downloadMachine({ ...deps, ...control, failedDelta }),
    );
  const { deltas, applier, failedDeltas } = deps;
  const tools = deltas && applier && { deltas, applier };
  return tracedTransfer(job, () => {
    if (others) return runGroup(deps, job, (blob) => one(blob));
    if (!tools) return one(single, delta?.size);
    const plain = (failed: HeldDelta | undefined = delta) => one(single, failed?.size);
    return delta && !failedDeltas?.has(delta.digest)
      ? runDelta({ ...deps, ...tools }, { ...single, delta }, () => plain())
      : runUntilOffered({ ...deps, ...tools }, single, plain);
  });
}

/**
 * Carries out a job without a delta, and from when one is offered on with it. What has arrived stays.
 * @param plain carries it out without, also after a delta that failed
 */
async function runUntilOffered(
  deps: DownloadWorkerDeps & DeltaTools,
  job: TransferJob,
  plain: (failed?: HeldDelta) => Promise<JobVerdict>,
): Promise<JobVerdict> {
  const { offered, failedDeltas } = deps;
  if (!offered) return plain();
  using offer = offered.to(job.digest, (delta) => !failedDeltas?.has(delta.digest));
  let isLeft = false;
  const machine = (control: StepControl) =>
    downloadMachine({ ...deps, ...control, signal: AbortSignal.any([control.signal, offer.signal]) });
  const isOffered = ({ result }: TransferOutcome): boolean => {
    isLeft = offer.delta !== undefined && result === 'failed';
    return isLeft;
  };
  const verdict = await runTransfer(deps, job, machine, { isHandled: isOffered, cancel: offer.signal });
  const { delta } = offer;
  return isLeft && delta ? runDelta(deps, { ...job, delta }, () => plain(delta)) : verdict;
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
  const verdict = await runTransfer(deps, job, machine, { isHandled });
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
    return runWithDelta(deps, { ...job, delta }, machine, async () => {
      await giveUpDelta(deps, job.repository, delta);
      return plain();
    });
  });
}
