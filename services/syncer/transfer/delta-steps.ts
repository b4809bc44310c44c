import { missingBlobs } from '#proto/content/blobs.ts';
import { type HeldDelta, refuseDelta } from '#proto/content/deltas.ts';
import { type Claim, claimTransfer, discardIngest, releaseClaim } from '#proto/content/ingests.ts';
import { Fault, fromWire, toWire } from '#proto/contract/fault.ts';
import { deltaApplied, deltaFailed, deltaMismatched } from '#proto/sync/delta-jobs.ts';
import type { SavedBytes } from '#proto/sync/transfers.ts';
import { isTransient } from '../link/answers/answers.ts';
import type { PartialSource, WantedBlob } from './download.ts';
import {
  commitDownload,
  type DownloadStepDeps,
  locateDownload,
  machineWith,
  renewing,
} from './download-steps.ts';
import { ChunkLog } from './pieces/chunk-log.ts';
import type { AppliedDelta, DeltaApplier } from './pieces/delta-applier.ts';
import { logged, PATIENCE } from './steps.ts';
import type { Hold, Located } from './transfer.machine.ts';
import type { Aside } from './worker-pool.ts';

export type DeltaStepDeps = DownloadStepDeps & {
  /** A source of deltas. */
  deltas: () => Promise<PartialSource>;
  applier: DeltaApplier;
  /** Ends the application: the end of a window does not. */
  stop: AbortSignal;
  saved: (saved: SavedBytes) => void;
  /** See `WorkerPool`. */
  aside?: Aside;
};

type TargetClaim = Claim & { clean: boolean };

/** Max applications that one transfer begins, and how many of them may crash. */
const MAX_APPLICATIONS = 6;
const MAX_CRASHES = 2;
/** Applications of one transfer that failed for reasons that may pass. */
type Failures = { all: number; crashes: number };

/**
 * The transfer machine with the actors of a download for which a delta crosses the link: it is content of its own, and
 * is transferred as a blob is, unless it is here already. Then it is applied into the ingest of its target. A failure
 * leaves the target to a transfer without the delta.
 */
export const deltaMachine = (deps: DeltaStepDeps, delta: HeldDelta) => {
  const failures = { all: 0, crashes: 0 };
  return machineWith(deps, (wanted) => locate({ ...deps, failures }, wanted, delta));
};

type Deps = DeltaStepDeps & { failures: Failures };

async function locate(deps: Deps, wanted: WantedBlob, delta: HeldDelta): Promise<Located> {
  const { digests } = await deps.bus.call(missingBlobs, { digests: [wanted.digest, delta.digest] }, PATIENCE);
  if (!digests.includes(wanted.digest)) return { kind: 'present' };
  if (digests.includes(delta.digest)) {
    if (await isInTransfer(deps, wanted)) return { kind: 'busy' };
    const { digest, size, ...record } = delta;
    const source = { ...deps, parent: deps.deltas };
    const located = await locateDownload(source, { ...wanted, digest, size, deltaRecord: record });
    if (located.kind === 'busy') return located;
    if (located.kind === 'claimed') return held(new DeltaHold(deps, wanted, delta, located.hold, undefined));
  }
  try {
    const claim = await claimTarget(deps, wanted);
    return claim ? held(new DeltaHold(deps, wanted, delta, undefined, claim)) : { kind: 'present' };
  } catch (error) {
    if (Fault.is(error, 'busy')) return { kind: 'busy' };
    throw error;
  }
}

/** Whether what has arrived of the delta is of no use: no repetition would bring the rest. */
const isOfDelta = (error: unknown): boolean =>
  Fault.is(error) && !isTransient(error) && !Fault.is(error, 'no-space', 'window-closed', 'paused');

const held = (hold: Hold): Located => ({ kind: 'claimed', hold });

/** Whether another transfer has the blob. A claim without a repository is not announced to the layers below. */
async function isInTransfer({ bus, by }: DeltaStepDeps, { digest, size }: WantedBlob): Promise<boolean> {
  try {
    const { id, claim, offset } = await bus.call(claimTransfer, { digest, size, by }, PATIENCE);
    await bus.call(offset === 0 ? discardIngest : releaseClaim, { id, claim }, PATIENCE);
    return false;
  } catch (error) {
    // It is found by the next step that it is here.
    if (Fault.is(error, 'exists')) return false;
    if (Fault.is(error, 'busy')) return true;
    throw error;
  }
}

/** @returns undefined if it is committed by now @throws Fault `busy` */
async function claimTarget(
  { bus, by }: DeltaStepDeps,
  { repository, digest, size, imageContext }: WantedBlob,
): Promise<TargetClaim | undefined> {
  const query = { repository, digest, size, by, ...(imageContext && { part: imageContext }) };
  return bus.call(claimTransfer, query, PATIENCE).catch((error) => {
    if (Fault.is(error, 'exists')) return undefined;
    throw error;
  });
}

/** A claim on the delta's ingest while it crosses the link, then one on its target's. */
class DeltaHold implements Hold {
  readonly #deps: Deps;
  readonly #wanted: WantedBlob;
  readonly #delta: HeldDelta;
  #crossing: Hold | undefined;
  #claim: TargetClaim | undefined;
  #applied: AppliedDelta | undefined;
  /** Bytes of the target that had crossed the link. */
  #received = 0;

  /** @param crossing of the delta; undefined: it is here @param claim on the target, then */
  constructor(
    deps: Deps,
    wanted: WantedBlob,
    delta: HeldDelta,
    crossing: Hold | undefined,
    claim: TargetClaim | undefined,
  ) {
    this.#deps = deps;
    this.#wanted = wanted;
    this.#delta = delta;
    this.#crossing = crossing;
    this.#claim = claim;
  }

  async move(): Promise<void> {
    const { started, progress } = this.#deps;
    const { size } = this.#delta;
    if (this.#crossing) {
      await this.#cross(this.#crossing);
      this.#crossing = undefined;
      progress(size, true);
      this.#claim = await claimTarget(this.#deps, this.#wanted);
    } else started(size);
    const claim = this.#claim;
    const { aside = (work) => work() } = this.#deps;
    if (claim) this.#applied = await aside(() => this.#apply(claim));
  }

  async commit(): Promise<void> {
    if (!this.#claim || !this.#applied) return;
    const { hashed, cpuMs, ms } = this.#applied;
    // The target needs no link any more.
    const deps = { ...this.#deps, signal: this.#deps.stop };
    await logged(deps, commitDownload(deps, this.#wanted, this.#claim, hashed, true));
    const { saved, counters, bus } = this.#deps;
    const { digest, size, from } = this.#delta;
    saved({ by: 'delta', bytes: Math.max(0, this.#wanted.size - size - this.#received), cpuMs });
    counters.deltas.applied(cpuMs);
    bus.publish(deltaApplied, { ...this.#about, digest, size, from, cpuMs, ms });
  }

  async release(): Promise<void> {
    await this.#crossing?.release();
    if (!this.#claim) return;
    const { id, claim } = this.#claim;
    await this.#deps.bus.call(releaseClaim, { id, claim });
  }

  async #cross(delta: Hold): Promise<void> {
    try {
      await delta.move();
      await delta.commit();
    } catch (error) {
      // The target comes without it. What is left can't be released any more; it expires if it can't be discarded.
      if (isOfDelta(error) && !this.#deps.signal.aborted) {
        this.#crossing = undefined;
        await delta.discard?.().catch(() => {});
      }
      throw error;
    }
  }

  /**
   * @throws Fault `delta-invalid`, also for other failures of which a repetition is of no use. Others as they are: the
   * delta is here, and is applied again after a while.
   */
  async #apply(claim: TargetClaim): Promise<AppliedDelta> {
    const { applier, volume, bus, stop } = this.#deps;
    const { repository } = this.#wanted;
    try {
      return await renewing({ bus, signal: stop }, claim, async (signal) => {
        await using file = await volume.openIngest(claim);
        await using log = await ChunkLog.open(await volume.openLog(claim));
        if (!claim.clean) await log.verify(file);
        this.#received = log.origins.link;
        const target = { file, log, progress: () => {} };
        return await applier.applyInto({ repository, delta: this.#delta, target, signal });
      });
    } catch (error) {
      if (stop.aborted || Fault.is(error, 'claim-lost') || this.#mayPass(error)) throw error;
      await this.#failed(error);
      const { message } = toWire(error);
      throw new Fault('delta-invalid', `${this.#delta.digest} can't be applied: ${message}`, {
        cause: error,
      });
    }
  }

  #mayPass(error: unknown): boolean {
    const { failures } = this.#deps;
    const fault = fromWire(toWire(error));
    if (!Fault.is(fault, 'no-space', 'busy', 'unavailable')) return false;
    failures.all += 1;
    if (fault.detail?.crashed === true) failures.crashes += 1;
    return failures.all < MAX_APPLICATIONS && failures.crashes < MAX_CRASHES;
  }

  async #failed(error: unknown): Promise<void> {
    const { bus, counters, log } = this.#deps;
    const { to, from, format, digest } = this.#delta;
    const { code, message: reason } = toWire(error);
    log.warn({ to, delta: digest, code, reason }, 'a delta could not be applied');
    bus.publish(deltaFailed, { ...this.#about, job: 'apply', code, reason });
    if (!Fault.is(error, 'delta-invalid')) return counters.deltas.failed('apply', code);
    counters.deltas.mismatched('apply');
    bus.publish(deltaMismatched, { ...this.#about, from, digest });
    await bus.call(refuseDelta, { to, from, format, reason: 'wrong' }, PATIENCE).catch((err) => {
      log.warn({ err, to }, 'cannot note that a delta is wrong');
    });
  }

  get #about() {
    const { repository } = this.#wanted;
    const { to, toSize } = this.#delta;
    return { repository, to, toSize, syncer: this.#deps.by };
  }
}
