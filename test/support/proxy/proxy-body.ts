import { once } from 'node:events';
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes per second, each way. */
export type Bandwidth = { connection?: number; total?: number };

/** What befalls a body on its way. Offsets count from its first byte. */
export type Interruption = {
  /** Flips a bit of the byte at this offset of the content, where the body holds it. */
  corruptAt?: number;
  /** Closes the connection when so many bytes have gone, though Content-Length says more. */
  cutAfter?: number;
  /** Ends the answer in good order after so many bytes; it has no Content-Length. */
  truncateAfter?: number;
  /** Sends nothing more after so many bytes, and leaves the connection open. */
  stallAfter?: number;
};

/** So small that a limited rate is even. */
const PIECE = 16 * 1024;

/** Writes one piece after the other, each when the one before has left this process, so that the count is true. */
export async function pump(
  from: IncomingMessage,
  to: ServerResponse | ClientRequest,
  { cutAfter, truncateAfter, stallAfter, corruptAt = -1 }: Interruption,
  mayPass: (bytes: number) => Promise<void>,
  passed: (bytes: number) => void,
): Promise<void> {
  const limit = Math.min(...[cutAfter, truncateAfter, stallAfter].map((n) => n ?? Number.POSITIVE_INFINITY));
  const interrupt = async () => {
    if (stallAfter === limit) await once(to, 'close');
    else if (truncateAfter === limit) to.end();
    else to.socket?.destroy();
  };
  if (limit === 0) return interrupt();
  let done = 0;
  for await (const chunk of from as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.byteLength; at += PIECE) {
      const piece = chunk.subarray(at, Math.min(at + PIECE, at + limit - done));
      const flip = corruptAt - done;
      if (flip >= 0 && flip < piece.byteLength) piece[flip]! ^= 1;
      await mayPass(piece.byteLength);
      await write(to, piece);
      done += piece.byteLength;
      passed(piece.byteLength);
      if (done >= limit) return interrupt();
    }
  }
  to.end();
}

function write(to: ServerResponse | ClientRequest, piece: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('the connection closed'));
    if (to.destroyed) return closed();
    to.once('close', closed);
    to.write(piece, (error) => {
      to.off('close', closed);
      if (error) reject(error);
      else resolve();
    });
  });
}

/** Lets bytes pass at a rate; a wait that took too long is made up for by the next ones. */
export class Pacer {
  #next = 0;

  async pass(bytes: number, rate: number | undefined): Promise<void> {
    if (!rate) return;
    const now = performance.now();
    const start = Math.max(this.#next, now - 20);
    this.#next = start + (bytes / rate) * 1_000;
    if (this.#next > now) await sleep(this.#next - now);
  }
}
