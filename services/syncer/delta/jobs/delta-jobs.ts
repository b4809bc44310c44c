import type { JobVerdict } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { deltaJobId } from '#proto/sync/delta-job-id.ts';
import { type DeltaJob, deltaFailed } from '#proto/sync/delta-jobs.ts';
import type { DeltaApplications } from './delta-applications.ts';
import type { DeltaDeps } from './delta-deps.ts';
import { DeltaMaker } from './delta-maker.ts';
import { PushedDeltas } from './pushed-delta.ts';

/**
 * Deltas: what crosses the link instead of content that resembles what the receiver holds (proto/content/deltas.ts).
 * This file carries out the jobs that make them, and that apply those which a child pushed; any syncer of a layer does.
 * `delta-maker.ts` makes, `delta-applications.ts` applies, also for the transfers of this process. The codec
 * (proto/delta/) runs in `../worker/`, a process of its own for each delta (`run-task.ts`); `../choice/` decides what a
 * delta is made of.
 */
export class DeltaJobs {
  readonly #deps: DeltaDeps;
  readonly #maker: DeltaMaker;
  readonly #pushed: PushedDeltas;

  constructor(deps: DeltaDeps, applications: DeltaApplications) {
    this.#deps = deps;
    this.#maker = new DeltaMaker(deps);
    this.#pushed = new PushedDeltas(deps, applications);
  }

  /** Carries out one job. One that is interrupted by `signal` is given back. */
  async run(job: DeltaJob, signal: AbortSignal): Promise<JobVerdict> {
    const { mode, takesPushes } = this.#deps.settings();
    if (mode === 'off') {
      return this.#refuse(job, new Fault('unsupported', 'deltas are off in this layer (delta.mode)'));
    }
    if (job.kind === 'apply' && !takesPushes) {
      return this.#refuse(job, new Fault('denied', 'nothing is pushed to this layer: its mode is ReadOnly'));
    }
    try {
      if (job.kind === 'make') return await this.#maker.make(job, signal);
      await this.#pushed.apply(job, signal);
      return 'done';
    } catch (error) {
      if (signal.aborted) return { retryMs: 0 };
      throw error;
    }
  }

  #refuse(job: DeltaJob, { code, message: reason }: Fault): JobVerdict {
    const { repository, kind } = job;
    const { to, toSize } = job.kind === 'make' ? job : job.delta;
    const { bus, by: syncer } = this.#deps;
    const about = { repository, to, toSize, syncer };
    bus.publish(deltaFailed, { ...about, job: kind, jobId: deltaJobId(job), code, reason });
    return 'done';
  }
}
