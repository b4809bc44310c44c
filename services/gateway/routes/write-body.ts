import type { IncomingMessage } from 'node:http';
import { Fault } from '#proto/contract/fault.ts';
import type { ClaimRenewal } from '../content/claim-renewal.ts';
import { receive } from '../content/receive.ts';
import { type Algorithm, RunningHashes } from '../content/running-hashes.ts';
import type { Gateway } from './resource.ts';

type Expected = {
  /** Algorithm of the hash to begin, for an empty ingest. */
  algorithm?: Algorithm;
  /** Exact size of the body, in bytes. */
  exactly?: number | undefined;
  /** Max size of the body, in bytes. */
  max?: number;
};

/**
 * Writes the body to the end of the held ingest.
 * @returns the new end of the ingest @throws Fault if the body is incomplete; the received bytes are stored
 */
export async function writeBody(
  { volume, hashes, times }: Gateway,
  { claim, signal }: ClaimRenewal,
  body: IncomingMessage,
  { algorithm = 'sha256', exactly, max = Number.POSITIVE_INFINITY }: Expected,
): Promise<number> {
  const { id, offset } = claim;
  const empty = body.headers['transfer-encoding'] === undefined && !Number(body.headers['content-length']);
  if (empty && offset > 0) return offset;
  await using file = await volume.openIngest(claim);
  const hash = hashes.take(id, offset) ?? (offset === 0 ? RunningHashes.begin(algorithm) : undefined);
  const received = await receive(body, file, {
    from: offset,
    hash,
    limit: exactly ?? max,
    excess: exactly === undefined ? 'too-large' : 'size-invalid',
    idleMs: times.idleMs,
    minimumRate: times.minimumRate,
    signal,
  });
  if (received.hash) hashes.put(id, received.end, received.hash);
  if (received.failure) throw received.failure;
  const length = received.end - offset;
  if (exactly !== undefined && length < exactly) {
    throw new Fault(
      'size-invalid',
      `the chunk has ${length} bytes, not ${exactly}: continue at the end of the upload`,
    );
  }
  return received.end;
}
