import { setMaxListeners } from 'node:events';
import type { FastifyReply } from 'fastify';
import type { ByteReader } from '#proto/volume/volume.ts';
import type { ByteRange } from '../http/ranges.ts';
import { BufferPool } from './buffer-pool.ts';

const pool = new BufferPool();

/**
 * Header of a response with the bytes of a blob: nginx, as a proxy in front, writes none of it to its disk while a slow
 * client reads.
 */
export const UNBUFFERED = { 'x-accel-buffering': 'no' };

/** Part of a response: literal text, or bytes of the file. */
export type Part = string | ByteRange;

export type SendOptions = {
  /** A reader that accepts no bytes for this time is disconnected, in ms. */
  idleMs: number;
  /** Called every `recheckMs`; if it returns false, the connection is closed. */
  stillAllowed: () => Promise<boolean>;
  recheckMs: number;
};

/**
 * Sends parts of a file. Two buffers alternate: one is filled from the file while the other goes to the socket, and
 * neither is touched before the socket is done with it, so that a slow reader costs two buffers and nothing else. Ends
 * when everything is sent, the reader has disconnected, or it has accepted nothing for `idleMs`.
 * @throws if the file is shorter than it should be: the connection is closed, so that no client takes it for complete
 */
export async function sendParts(
  reply: FastifyReply,
  file: ByteReader,
  parts: Part[],
  { idleMs, stillAllowed, recheckMs }: SendOptions,
): Promise<void> {
  const { raw } = reply;
  const { socket } = reply.request.raw;
  let settle: ((sent: boolean) => void) | undefined;
  const onClose = () => settle?.(false);
  raw.once('close', onClose);
  // A response that waits behind others for the socket may get no `close` event, and any number of them may wait.
  setMaxListeners(0, socket);
  socket.once('close', onClose);
  raw.setTimeout(idleMs, () => raw.destroy());
  // The callback is called when the kernel has the bytes; perhaps never if the socket closes first.
  const write = (bytes: Uint8Array | string) =>
    new Promise<boolean>((resolve) => {
      settle = resolve;
      if (raw.destroyed || socket.destroyed) resolve(false);
      else raw.write(bytes, (error) => resolve(!error));
    });

  const lengths = parts.map((part) => (typeof part === 'string' ? 0 : length(part)));
  const maxLength = lengths.reduce((max, one) => Math.max(max, one), 0);
  const bufferSize = pool.begin();
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
        buffers[turn] ??= pool.take(bufferSize, maxLength);
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
    socket.off('close', onClose);
    // After a disconnect, the socket may still hold a buffer.
    pool.end(sent ? buffers : []);
  }
}

export const length = ({ first, last }: ByteRange): number => last - first + 1;
