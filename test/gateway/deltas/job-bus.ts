import type { TSchema } from '@sinclair/typebox';
import type { Event, Job } from '#proto/contract/contract.ts';
import type { Static } from '#proto/contract/schema.ts';
import { deltaJobId } from '#proto/sync/delta-job-id.ts';
import { type DeltaJob, deltaApplied, deltaFailed, deltaMade } from '#proto/sync/delta-jobs.ts';

/** A bus that keeps the jobs that are submitted, and publishes their outcomes. */
export class JobBus {
  readonly submitted: DeltaJob[] = [];
  readonly #listeners = new Map<string, (event: { data: unknown }) => void>();
  refuses = false;

  submit = async <T extends TSchema>(_job: Job<T>, body: Static<T>): Promise<void> => {
    if (this.refuses) throw new Error('no bus');
    this.submitted.push(body as DeltaJob);
  };

  listen = ((event: Event, listener: (event: { data: unknown }) => void) => {
    this.#listeners.set(event.type, listener);
    return () => {};
  }) as never;

  onGap = (handler: () => void): void => {
    this.missed = handler;
  };

  /** Events may have been missed. */
  missed = (): void => {};

  /** The target of the job failed to be made of a delta that this layer has pulled. */
  failedToApply({ repository, to, toSize }: { repository: string; to: string; toSize: number }): void {
    const about = { repository, to, toSize, syncer: 's', job: 'apply' };
    this.#publish(deltaFailed, { ...about, code: 'delta-invalid', reason: 'it makes other bytes' });
  }

  /** The last job with this target has made a delta. */
  made(job: DeltaJob, from?: string[]): void {
    if (job.kind !== 'make') throw new Error('not such a job');
    const { repository, to, toSize, candidates } = job;
    const about = { repository, to, toSize, syncer: 's', digest: 'd', size: 1, kind: 'raw', cpuMs: 1, ms: 1 };
    this.#publish(deltaMade, { ...about, from: from ?? candidates.slice(0, 1) });
  }

  applied(job: DeltaJob): void {
    if (job.kind !== 'apply') throw new Error('not such a job');
    const { repository, delta } = job;
    const { to, toSize, from, digest, size } = delta;
    this.#publish(deltaApplied, { repository, to, toSize, from, digest, size, syncer: 's', cpuMs: 1, ms: 1 });
  }

  failed(job: DeltaJob, code = 'no-space', reason = 'the data volume is full'): void {
    const { to, toSize } = job.kind === 'make' ? job : job.delta;
    const { repository, kind } = job;
    const about = { repository, to, toSize, syncer: 's', job: kind };
    this.#publish(deltaFailed, { ...about, jobId: deltaJobId(job), code, reason });
  }

  #publish(event: { type: string }, data: unknown): void {
    this.#listeners.get(event.type)?.({ data });
  }
}
