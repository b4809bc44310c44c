import type { IncomingMessage } from 'node:http';
import { Fault } from '#proto/contract/fault.ts';

/**
 * Reads a small body into memory.
 * @param what names the body in messages to its sender @param limit in bytes @param withinMs for the full body
 * @throws Fault `too-large`, `size-invalid` if the connection ends before the body, `too-slow`
 */
export async function readBody(
  body: IncomingMessage,
  { what, limit, withinMs }: { what: string; limit: number; withinMs: number },
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const chunks: Buffer[] = [];
  let size = 0;
  const onData = (chunk: Buffer) => {
    size += chunk.byteLength;
    if (size > limit) reject(new Fault('too-large', `the ${what} has more than ${limit} bytes`));
    else chunks.push(chunk);
  };
  const onClose = () =>
    reject(new Fault('size-invalid', `the connection closed before the end of the ${what}`));
  const onTimeout = () =>
    reject(new Fault('too-slow', `the ${what} was not received within ${withinMs / 1_000} s`));
  const timer = setTimeout(onTimeout, withinMs);
  body.on('data', onData).once('end', resolve).once('close', onClose).once('error', onClose);
  if (body.destroyed) onClose();
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    body.off('data', onData).off('close', onClose);
    body.pause();
  }
  return Buffer.concat(chunks);
}
