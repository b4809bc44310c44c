import { setMaxListeners } from 'node:events';
import type { FastifyReply } from 'fastify';
import type { BlobFile } from '#proto/volume/volume.ts';
import type { ByteRange } from '../http/ranges.ts';
import { BufferPool } from './buffer-pool.ts';

const pieces = new BufferPool();

/** What a response is made of, in order: text of its own, or bytes of the file. */
export type Part = string | ByteRange;

export type SendOptions = {
  /** A reader that takes nothing for so long is cut off. */
  idleMs: number;
  /** Asked every `recheckMs`: where it says no, the connection is cut. */
  stillAllowed: () => Promise<boolean>;
  recheckMs: number;
};

/**
 * Answers with parts of a file. Two buffers take turns: one is filled from the file while the other goes to the
 * socket, and neither is touched before the socket is done with it, so a slow reader costs two buffers and nothing
 * else. Ends when all is sent or the reader is gone, or has taken nothing for `idleMs`.
 * @throws where the file is shorter than it should be: the connection is cut, so that nobody takes it for the whole
 */
export async function sendParts(
  reply: FastifyReply,
  file: Pick<BlobFile, 'read'>,
  parts: Part[],
  { idleMs, stillAllowed, recheckMs }: SendOptions,
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

  const lengths = parts.map((part) => (typeof part === 'string' ? 0 : length(part)));
  const biggest = lengths.reduce((most, one) => Math.max(most, one), 0);
  const piece = pieces.begin();
  const buffers: [Buffer?, Buffer?] = [];
  let turn = 0;
  let sending: Promise<boolean> = Promise.resolve(true);
  let sent = false;
  let checked = performance.now();
  const isRefused = async () => {
    if (performance.now() - checked < recheckMs) return false;
    const allowed = await stillAllowed();
    checked = performance.now();
    return !allowed;
  };
  try {
    for (const part of parts) {
      if (typeof part === 'string') {
        if (!(await sending)) return;
        sending = write(part);
        continue;
      }
      for (let at = part.first; at <= part.last; ) {
        buffers[turn] ??= pieces.take(piece, biggest);
        const view = buffers[turn]!.subarray(0, part.last - at + 1);
        const read = await file.read(view, at);
        if (read < view.byteLength) throw new Error(`the file ends at ${at + read}, not after ${part.last}`);
        if (!(await sending)) return;
        if (await isRefused()) return void raw.destroy();
        sending = write(view);
        at += view.byteLength;
        turn = 1 - turn;
      }
    }
    sent = await sending;
    if (sent) raw.end();
  } catch (error) {
    raw.destroy();
    throw error;
  } finally {
    socket.off('close', gone);
    // Where the reader is gone, the socket may still hold one.
    pieces.end(sent ? buffers : []);
  }
}

export const length = ({ first, last }: ByteRange): number => last - first + 1;
