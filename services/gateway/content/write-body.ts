import type { IncomingMessage } from 'node:http';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { Volume } from '#proto/volume/volume.ts';
import type { MinimumRate } from '../http/minimum-rate.ts';
import type { ClaimRenewal } from './claim-renewal.ts';
import { receive } from './receive.ts';
import { type Algorithm, RunningHashes } from './running-hashes.ts';

export type WriteBodyDeps = {
  volume: Volume;
  hashes: RunningHashes;
  times: { idleMs: number; minimumRate: MinimumRate };
};

type Expected = {
  /** Algorithm of the hash: the one to begin, for an empty ingest. */
  algorithm?: Algorithm;
  /** Exact size of the body, in bytes. */
  exactly?: number | undefined;
  /** Max size of the body, in bytes. */
  max?: number;
};

/** End of the ingest, and the hash of all bytes before it if this process wrote them. */
export type WrittenBody = { end: number; hash: Digest | undefined };

/**
 * Writes the body to the end of the held ingest. Its running hash is kept for the next part of the upload.
 * @throws Fault if the body is incomplete; the received bytes are stored
 */
export async function writeBody(
  { volume, hashes, times }: WriteBodyDeps,
  { claim, signal }: ClaimRenewal,
  body: IncomingMessage,
  { algorithm = 'sha256', exactly, max = Number.POSITIVE_INFINITY }: Expected,
): Promise<WrittenBody> {
  const { id, offset } = claim;
  const empty = body.headers['transfer-encoding'] === undefined && !Number(body.headers['content-length']);
  if (empty && offset > 0) return { end: offset, hash: hashes.digest(id, offset, algorithm) };
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
  return { end: received.end, hash: hashes.digest(id, received.end, algorithm) };
}
