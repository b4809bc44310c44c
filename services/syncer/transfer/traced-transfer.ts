import type { TransferJob } from '#proto/sync/transfers.ts';
import { traced } from '#proto/tracing/traced.ts';

/** Carries out a job as a span, if what requested the blob is one. */
export function tracedTransfer<T>(job: TransferJob, work: () => Promise<T>): Promise<T> {
  const { traceparent: parent, direction, repository, digest, size, pass, others } = job;
  if (!parent) return work();
  const attributes = {
    'terrace.direction': direction,
    'terrace.pass': pass,
    'terrace.repository': repository,
    'terrace.digest': digest,
    'terrace.bytes': size,
    'terrace.blobs': 1 + (others?.length ?? 0),
  };
  return traced('transfer', { kind: 'consumer', parent, attributes }, work);
}
