import { locateBlob } from '#proto/content/blobs.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import { claimTransfer, discardIngest } from '#proto/content/ingests.ts';
import { Fault, toWire } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { deltaJobId } from '#proto/sync/delta-job-id.ts';
import { type ApplyJob, deltaApplied, deltaFailed, deltaMismatched } from '#proto/sync/delta-jobs.ts';
import { PATIENCE } from '../../transfer/steps.ts';
import type { DeltaApplications } from './delta-applications.ts';
import type { DeltaDeps } from './delta-deps.ts';
import { ingest } from './delta-ingest.ts';
import { allLocatedBases, locatedBlob } from './located-content.ts';

/** Applies deltas that a child pushed as blobs of a repository. */
export class PushedDeltas {
  readonly #deps: DeltaDeps;
  readonly #applications: DeltaApplications;

  constructor(deps: DeltaDeps, applications: DeltaApplications) {
    this.#deps = deps;
    this.#applications = applications;
  }

  /**
   * Commits the target, linked in the repository, and keeps the delta for other layers; its link ends with a garbage
   * collection, as no manifest names it. Publishes how the job ended.
   * @throws the reason of `signal`: nothing is left of the job then
   */
  async apply(job: ApplyJob, signal: AbortSignal): Promise<void> {
    const { bus, counters } = this.#deps;
    const { repository, delta } = job;
    try {
      const applied = await this.#commitTarget(job, signal);
      const { cpuMs, ms } = applied ?? { cpuMs: 0, ms: 0 };
      if (applied) {
        await this.#keep(repository, delta);
        counters.applied(cpuMs);
      }
      const { from, digest, size } = delta;
      bus.publish(deltaApplied, { ...this.#about(job), from, digest, size, cpuMs, ms });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      this.#failed(job, error);
    }
  }

  /**
   * A job that is delivered again may find it committed.
   * @returns undefined if it is in the repository already: nothing is known of the delta then
   */
  async #commitTarget({ repository, delta }: ApplyJob, signal: AbortSignal) {
    const { bus, data } = this.#deps;
    const { to, toSize, digest, size } = delta;
    if (await this.#isLinked(repository, to)) return undefined;
    const pushed = await locatedBlob({ bus, data, repository }, digest);
    if (pushed.size !== size) throw new Fault('delta-invalid', `the pushed delta has ${pushed.size} bytes`);
    const bases = await allLocatedBases({ bus, data, repository }, delta.from);
    return await ingest(this.#deps, repository, signal, async (onBytes, claimed) => {
      const { cpuMs, ms } = await this.#applications.apply({ delta: pushed, bases }, delta, claimed, onBytes);
      return { cpuMs, ms, commit: { digest: to, size: toSize, repository } };
    });
  }

  async #isLinked(repository: Repository, digest: Digest): Promise<boolean> {
    try {
      await this.#deps.bus.call(locateBlob, { repository, digest }, PATIENCE);
      return true;
    } catch (error) {
      if (Fault.is(error, 'blob-unknown', 'name-unknown')) return false;
      throw error;
    }
  }

  /** What the child said of it is right: it was applied. */
  async #keep(repository: Repository, { digest, size, ...delta }: HeldDelta): Promise<void> {
    const { bus, by } = this.#deps;
    try {
      const { id, claim } = await bus.call(claimTransfer, { repository, digest, size, delta, by }, PATIENCE);
      // It was deleted meanwhile.
      await bus.call(discardIngest, { id, claim });
    } catch (error) {
      if (!Fault.is(error, 'exists', 'busy')) throw error;
    }
  }

  /** The pair is not refused: what the child said of the bytes need not be true, and deltas of it may be here. */
  #failed(job: ApplyJob, error: unknown): void {
    const { bus, counters, log } = this.#deps;
    const { to, from, digest } = job.delta;
    const { code, message: reason } = toWire(error);
    if (!Fault.is(error)) log.error({ err: error, to, delta: digest }, 'a pushed delta could not be applied');
    else log.warn({ to, delta: digest, code, reason }, 'a pushed delta could not be applied');
    if (Fault.is(error, 'delta-invalid')) {
      counters.mismatched('apply');
      bus.publish(deltaMismatched, { ...this.#about(job), from, digest });
    } else counters.failed('apply', code);
    bus.publish(deltaFailed, { ...this.#about(job), job: 'apply', jobId: deltaJobId(job), code, reason });
  }

  #about({ repository, delta: { to, toSize } }: ApplyJob) {
    return { repository, to, toSize, syncer: this.#deps.by };
  }
}
