import { setMaxListeners } from 'node:events';
import type { FastifyReply } from 'fastify';
import type { BlobFile } from '#proto/volume.ts';
import type { ByteRange } from './ranges.ts';

/** Large pieces cost a fifth less than small ones; but all streams together must fit into some memory. */
const LARGEST = 512 * 1024;
const SMALLEST = 64 * 1024;
const ALL_STREAMS = 32 * 1024 * 1024;
let streams = 0;

/** How much of a file is read at once, in bytes: less, the more streams there are. */
export const pieceFor = (count: number): number =>
  Math.max(SMALLEST, Math.min(LARGEST, Math.floor(ALL_STREAMS / (2 * count))));

/** What a response is made of, in order: text of its own, or bytes of the file. */
export type Part = string | ByteRange;

/**
 * Answers with parts of a file. Two buffers take turns: one is filled from the file while the other goes to the
 * socket, and neither is touched before the socket is done with it, so a slow reader costs two buffers and nothing
 * else. Ends when all is sent or the reader is gone, or has taken nothing for `idleMs`.
 * @throws where the file is shorter than it should be: the connection is cut, so that nobody takes it for the whole
 */
export async function sendParts(
  reply: FastifyReply,
  file: BlobFile,
  parts: Part[],
  idleMs: number,
): Promise<void> {
  const { raw } = reply;
  const { socket } = reply.request.raw;
  let settle: ((sent: boolean) => void) | undefined;
  const gone = () => settle?.(false);
  raw.once('close', gone);
  // An answer that waits behind others for the socket may not hear of its end, and any number of them may wait.
  setMaxListeners(0, socket);
  socket.once('close', gone);
  raw.setTimeout(idleMs, () => raw.destroy());
  // The callback comes when the bytes are with the kernel; perhaps never for a socket that went before them.
  const write = (bytes: Uint8Array | string) =>
    new Promise<boolean>((resolve) => {
      settle = resolve;
      if (raw.destroyed || socket.destroyed) resolve(false);
      else raw.write(bytes, (error) => resolve(!error));
    });

  const biggest = Math.max(...parts.map((part) => (typeof part === 'string' ? 0 : length(part))));
  streams += 1;
  const piece = Math.min(biggest, pieceFor(streams));
  const buffers: [Buffer?, Buffer?] = [];
  let turn = 0;
  let sending: Promise<boolean> = Promise.resolve(true);
  try {
    for (const part of parts) {
      if (typeof part === 'string') {
        if (!(await sending)) return;
        sending = write(part);
        continue;
      }
      for (let at = part.first; at <= part.last; ) {
        buffers[turn] ??= Buffer.allocUnsafeSlow(piece);
        const view = buffers[turn]!.subarray(0, part.last - at + 1);
        const read = await file.read(view, at);
        if (read < view.byteLength) throw new Error(`the file ends at ${at + read}, not after ${part.last}`);
        if (!(await sending)) return;
        sending = write(view);
        at += view.byteLength;
        turn = 1 - turn;
      }
    }
    if (await sending) raw.end();
  } catch (error) {
    raw.destroy();
    throw error;
  } finally {
    socket.off('close', gone);
    streams -= 1;
  }
}

export const length = ({ first, last }: ByteRange): number => last - first + 1;
