import type { IncomingMessage } from 'node:http';
import { Fault } from '#proto/contract/fault.ts';

/**
 * A small body as a whole.
 * @param what names it for whoever sent it @param limit in bytes @param withinMs for all of it
 * @throws Fault `too-large`, `size-invalid` where it does not come whole, `too-slow`
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
    reject(new Fault('size-invalid', `the connection ended in the middle of the ${what}`));
  const late = () => reject(new Fault('too-slow', `the ${what} did not come within ${withinMs / 1_000} s`));
  const timer = setTimeout(late, withinMs);
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
