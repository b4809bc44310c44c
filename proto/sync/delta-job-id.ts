import { hash } from 'node:crypto';
import type { DeltaJob } from './delta-jobs.ts';

/** Identifies a job by what decides its outcome: two jobs of one id have the same one. */
export function deltaJobId(job: DeltaJob): string {
  const { repository, kind } = job;
  const [to, of] =
    job.kind === 'make' ? [job.to, job.candidates] : [job.delta.to, [job.delta.digest, ...job.delta.from]];
  return hash('sha256', JSON.stringify([kind, repository, to, of]), 'base64url').slice(0, 22);
}
