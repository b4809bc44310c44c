import type { IncomingMessage } from 'node:http';
import type { Digest } from '#proto/oci/names.ts';
import { receive } from './receive.ts';
import { type Algorithm, RunningHashes } from './running-hashes.ts';
import type { WriteBodyDeps } from './write-body.ts';

/** Whether the client announces a body of at most `limit` bytes. */
export const isSmall = ({ headers }: IncomingMessage, limit: number): boolean =>
  headers['transfer-encoding'] === undefined && Number(headers['content-length']) <= limit;

/**
 * Receives a body into memory, with the limits of time that every upload has.
 * @param limit max size, in bytes
 * @throws Fault `too-large`; `size-invalid`, `upload-invalid` if the body is incomplete
 */
export async function receiveSmall(
  { times }: Pick<WriteBodyDeps, 'times'>,
  body: IncomingMessage,
  { algorithm, limit }: { algorithm: Algorithm; limit: number },
): Promise<{ bytes: Buffer; digest: Digest }> {
  const parts: Buffer[] = [];
  // Copies: `receive` frees what it has written.
  const memory = {
    write: async (buffers: Uint8Array[]) => void parts.push(Buffer.concat(buffers)),
    sync: async () => {},
  };
  const { hash } = RunningHashes.begin(algorithm);
  const { failure } = await receive(body, memory, {
    from: 0,
    hash: { algorithm, hash },
    limit,
    excess: 'too-large',
    idleMs: times.idleMs,
    minimumRate: times.minimumRate,
    signal: new AbortController().signal,
  });
  if (failure) throw failure;
  return { bytes: Buffer.concat(parts), digest: `${algorithm}:${hash.digest('hex')}` };
}
