import { setTimeout as sleep } from 'node:timers/promises';
import { type HeldDelta, locateDelta } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Repository } from '#proto/oci/names.ts';
import type { PushedDelta } from '#proto/sync/delta-exchange.ts';
import type { SavedBytes } from '#proto/sync/transfers.ts';
import type { WantedBlob } from './download.ts';
import { PATIENCE } from './steps.ts';
import type { Hold, Located } from './transfer.machine.ts';
import { UploadLease } from './upload-lease.ts';
import { UploadSessions } from './upload-sessions.ts';
import { type UploadOptions, type UploadStepDeps, UploadSteps, uploadMachineWith } from './upload-steps.ts';
import type { Aside } from './worker-pool.ts';

/** Max wait of one request for the application, in s. */
const WAIT_S = 50;
/** Min interval of requests for it, in ms: a parent may answer at once instead of waiting. */
const MIN_INTERVAL_MS = 1_000;

/** Has the parent apply a delta that was sent to it. */
export type DeltaPusher = { apply(push: PushedDelta, signal: AbortSignal): Promise<boolean> };

export type UploadDeltaDeps = UploadStepDeps & {
  pusher: () => Promise<DeltaPusher>;
  /**
   * Max time for the application of a delta at the parent, in ms. `blobMs`: predicted time of the blob itself;
   * undefined: it is unknown.
   */
  applyMs: (blobMs?: number) => number;
  /** `isLast`: no more bytes cross the link. */
  progress: (done: number, isLast?: boolean) => void;
  saved: (saved: SavedBytes) => void;
  /** See `WorkerPool`. */
  aside?: Aside;
};

/**
 * The transfer machine with the actors of an upload for which a delta crosses the link: it is sent as a blob of the
 * repository, and the parent applies it. A failure leaves the target to an upload without the delta.
 */
export const uploadDeltaMachine = (deps: UploadDeltaDeps, options: UploadOptions, delta: HeldDelta) => {
  const { bus } = deps;
  const { digest, size } = delta;
  const locateHere = ({ repository }: WantedBlob) => bus.call(locateDelta, { repository, digest }, PATIENCE);
  const steps = new UploadSteps({ ...deps, locateHere }, { until: options.until });
  return uploadMachineWith(deps, async (wanted) => {
    const { repository } = wanted;
    const pushClient = await deps.pushClient();
    if (await pushClient.hasBlob(repository, wanted.digest, deps.signal)) {
      await giveUpDelta(deps, repository, delta);
      return { kind: 'present' };
    }
    const located = await steps.locate({ repository, digest, size });
    return located.kind === 'busy' ? located : held(deps, wanted, delta, located);
  });
};

function held(deps: UploadDeltaDeps, wanted: WantedBlob, delta: HeldDelta, located: Located): Located {
  const { aside = (work) => work() } = deps;
  const crossing = located.kind === 'claimed' ? located.hold : undefined;
  // An earlier attempt sent all of it.
  if (!crossing) deps.started(delta.size);
  let crossingMs: number | undefined;
  const blobMs = () => {
    const { throughput } = deps.slots.gauge;
    if (throughput) return (wanted.size / throughput) * 1_000;
    return crossingMs && (crossingMs * wanted.size) / delta.size;
  };
  const hold: Hold = {
    move: async () => {
      const begun = performance.now();
      await crossing?.move();
      if (crossing) crossingMs = performance.now() - begun;
    },
    commit: async () => {
      await crossing?.commit();
      deps.progress(delta.size, true);
      // The link is free for others meanwhile.
      await aside(() => apply(deps, wanted, delta, blobMs()));
      deps.saved({ by: 'delta', bytes: Math.max(0, wanted.size - delta.size) });
    },
    release: async () => crossing?.release(),
  };
  return { kind: 'claimed', hold };
}

/**
 * Ends the upload of a delta that is not needed any more, at the parent and here, unless another transfer sends it. The
 * garbage collections of both layers delete what a failure leaves.
 */
export async function giveUpDelta(
  { bus, by, pushClient, signal, log }: Pick<UploadStepDeps, 'bus' | 'by' | 'pushClient' | 'signal' | 'log'>,
  repository: Repository,
  { digest, size }: Pick<HeldDelta, 'digest' | 'size'>,
): Promise<void> {
  try {
    await using lease = await UploadLease.acquire(bus, by, repository, digest);
    if (!lease) return;
    const sessions = new UploadSessions(bus, signal, []);
    await sessions.end(await pushClient(), { repository, digest, size });
  } catch (err) {
    log.debug({ err, delta: digest }, 'cannot end the upload of a delta');
  }
}

/** @throws Fault `delta-invalid` if the target itself has to be sent */
async function apply(
  { pusher, applyMs, signal, log }: UploadDeltaDeps,
  { repository }: WantedBlob,
  delta: HeldDelta,
  blobMs: number | undefined,
): Promise<void> {
  const end = performance.now() + applyMs(blobMs);
  for (;;) {
    const begun = performance.now();
    const leftS = Math.ceil((end - performance.now()) / 1_000);
    if (leftS <= 0) throw new Fault('delta-invalid', `the parent did not apply ${delta.digest} in time`);
    const push = { repository, delta, wait: Math.min(WAIT_S, leftS) };
    try {
      if (await (await pusher()).apply(push, signal)) return;
      await sleep(Math.max(0, begun + MIN_INTERVAL_MS - performance.now()), undefined, { signal });
    } catch (error) {
      if (Fault.is(error, 'delta-invalid')) {
        log.warn({ to: delta.to, delta: delta.digest, reason: error.message }, 'the parent applies no delta');
      }
      throw error;
    }
  }
}
