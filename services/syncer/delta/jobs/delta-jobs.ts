import type { JobVerdict } from '#proto/bus/bus.ts';
import { type DeltaJob, deltaFailed } from '#proto/sync/delta-jobs.ts';
import type { DeltaApplications } from './delta-applications.ts';
import type { DeltaDeps } from './delta-deps.ts';
import { DeltaMaker } from './delta-maker.ts';
import { PushedDeltas } from './pushed-delta.ts';

/**
 * Deltas: what crosses the link instead of content that resembles what the receiver holds (proto/content/deltas.ts).
 * This file carries out the jobs that make them, and that apply those which a child pushed; any syncer of a layer does.
 * `delta-maker.ts` makes, `delta-applications.ts` applies, also for the transfers of this process. The codec
 * (proto/delta/) runs in `../work/`, a process of its own for each delta (`run-task.ts`); `../choice/` decides what a
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
    if (this.#deps.settings().mode === 'off') {
      this.#refuse(job);
      return 'done';
    }
    try {
      if (job.kind === 'make') await this.#maker.make(job, signal);
      else await this.#pushed.apply(job, signal);
      return 'done';
    } catch (error) {
      if (signal.aborted) return { retryMs: 0 };
      throw error;
    }
  }

  #refuse(job: DeltaJob): void {
    const { repository, kind } = job;
    const { to, toSize } = job.kind === 'make' ? job : job.delta;
    const { bus, by: syncer } = this.#deps;
    const reason = 'deltas are off in this layer (delta.mode)';
    bus.publish(deltaFailed, { repository, to, toSize, syncer, job: kind, code: 'unsupported', reason });
  }
}
