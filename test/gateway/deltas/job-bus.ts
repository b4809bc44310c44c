import type { TSchema } from '@sinclair/typebox';
import type { Event, Job } from '#proto/contract/contract.ts';
import type { Static } from '#proto/contract/schema.ts';
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
    this.#publish(deltaFailed, { repository, to, toSize, syncer: 's', job: kind, code, reason });
  }

  #publish(event: { type: string }, data: unknown): void {
    this.#listeners.get(event.type)?.({ data });
  }
}
