import { once } from 'node:events';
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes per second, of one body and of all together. */
export type Bandwidth = { connection?: number; total?: number };

/** Faults in the transfer of a body. Offsets count from its first byte. */
export type Interruption = {
  /** Flips a bit of the byte at this offset of the content, if the body contains it. */
  corruptAt?: number;
  /** Closes the connection after this many bytes, although Content-Length announces more. */
  cutAfter?: number;
  /** Ends the answer regularly after this many bytes; it has no Content-Length. */
  truncateAfter?: number;
  /** Sends nothing more after this many bytes, and leaves the connection open. */
  stallAfter?: number;
};

/** In bytes; small, so that a limited rate is even. */
const PIECE = 16 * 1024;

/** Writes piece by piece, each when the previous one has left this process, so that the count is exact. */
export async function pump(
  from: IncomingMessage,
  to: ServerResponse | ClientRequest,
  { cutAfter, truncateAfter, stallAfter, corruptAt = -1 }: Interruption,
  pace: (bytes: number) => Promise<void>,
  onWritten: (bytes: number) => void,
): Promise<void> {
  const limit = Math.min(...[cutAfter, truncateAfter, stallAfter].map((n) => n ?? Number.POSITIVE_INFINITY));
  const interrupt = async () => {
    if (stallAfter === limit) await once(to, 'close');
    else if (truncateAfter === limit) to.end();
    else to.socket?.destroy();
  };
  if (limit === 0) return interrupt();
  let written = 0;
  for await (const chunk of from as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.byteLength; at += PIECE) {
      const piece = chunk.subarray(at, Math.min(at + PIECE, at + limit - written));
      const flip = corruptAt - written;
      if (flip >= 0 && flip < piece.byteLength) piece[flip]! ^= 1;
      await pace(piece.byteLength);
      await write(to, piece);
      written += piece.byteLength;
      onWritten(piece.byteLength);
      if (written >= limit) return interrupt();
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

/** Limits the rate of bytes. A wait that took too long is compensated by the next ones. */
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
