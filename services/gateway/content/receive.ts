import type { Readable } from 'node:stream';
import { Fault, fromWire, toWire } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import type { IngestFile } from '#proto/volume/volume.ts';
import { type MinimumRate, RateMeter } from '../http/minimum-rate.ts';
import type { RunningHash } from './running-hashes.ts';

export type ReceiveOptions = {
  /** Position of the first byte in the ingest. */
  from: number;
  /** Hash of the bytes before `from`, to be continued with the body. */
  hash?: RunningHash | undefined;
  /** Max bytes of the body, and the fault code if it has more. */
  limit: number;
  excess: Fault['code'];
  idleMs: number;
  minimumRate: MinimumRate;
  /** Aborts when writing must stop; its reason is a Fault. */
  signal: AbortSignal;
};

export type Received = {
  /** End of the written bytes. */
  end: number;
  /** Hash of the bytes before `end`. */
  hash: RunningHash | undefined;
  /** Why the body is incomplete. The bytes received before are written nevertheless. */
  failure: Fault | undefined;
};

/** Max bytes that wait in memory while as many are being written. */
const MAX_BATCH_BYTES = 2 * 1024 * 1024;
/** Bytes between syncs, so that storage hardly waits for the disk at commit. Syncs never run concurrently. */
const SYNC_BYTES = 8 * 1024 * 1024;

/**
 * Writes a request's body into an ingest. Bytes are hashed on arrival while those before them are being written, all
 * that are buffered in one call; a body faster than the disk is paused. Never rejects: returns what has been written
 * with the reason for the end.
 */
export async function receive(
  body: Readable,
  file: Pick<IngestFile, 'write' | 'sync'>,
  options: ReceiveOptions,
): Promise<Received> {
  const { from, limit, idleMs, minimumRate, signal } = options;
  let { hash } = options;
  let failure: Fault | undefined;
  let ended = false;
  let received = 0;
  let written = 0;
  let batch: Buffer[] = [];
  let batchBytes = 0;
  let wake: (() => void) | undefined;

  const stop = (fault?: Fault) => {
    if (ended) return;
    ended = true;
    failure = fault;
    body.pause();
    wake?.();
  };
  const onData = (chunk: Buffer) => {
    if (ended) return;
    if (received + chunk.byteLength > limit) {
      stop(new Fault(options.excess, `the body has more than ${limit} bytes`));
      return;
    }
    received += chunk.byteLength;
    meter.addReceived(chunk.byteLength);
    hash?.hash.update(chunk);
    batch.push(chunk);
    batchBytes += chunk.byteLength;
    if (batchBytes >= MAX_BATCH_BYTES) body.pause();
    wake?.();
  };
  const onEnd = () => stop();
  const onBroken = () => {
    if (!ended) stop(new Fault('size-invalid', 'the connection closed before the end of the body'));
  };
  const onAbort = () => {
    batch = [];
    fail(signal.reason);
  };
  // Idle time counts only while this waits for the client, not while the client waits for the disk.
  const idle = setTimeout(() => {
    if (!wake) idle.refresh();
    else stop(new Fault('upload-invalid', `no data received for ${idleMs / 1000} s`));
  }, idleMs).unref();

  const meter = new RateMeter(minimumRate, performance.now());
  const window = setInterval(() => {
    const inWindow = meter.endWindow(performance.now());
    if (inWindow === undefined) return;
    const [bytes, seconds] = [minimumRate.bytesPerSecond, minimumRate.windowMs / 1_000];
    const slow = `received ${formatBytes(inWindow)} in ${seconds} s: send at least ${formatBytes(bytes)}/s, or continue the upload later`;
    stop(new Fault('upload-invalid', slow));
  }, minimumRate.windowMs).unref();

  // From here on, the hash covers bytes that are not written.
  const fail = (error: unknown) => {
    hash = undefined;
    ended = true;
    failure = error instanceof Fault ? error : fromWire(toWire(error));
    body.pause();
    wake?.();
  };

  body.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  if (body.destroyed) onBroken();

  let unsynced = 0;
  let syncing: Promise<void> | undefined;
  try {
    for (;;) {
      if (batch.length === 0) {
        if (ended) break;
        idle.refresh();
        meter.startWaiting(performance.now());
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
        meter.startWriting(performance.now());
        continue;
      }
      const [buffers, bytes] = [batch, batchBytes];
      batch = [];
      batchBytes = 0;
      if (!ended) body.resume();
      await file.write(buffers, from + written);
      written += bytes;
      buffers.forEach(free);
      unsynced += bytes;
      if (unsynced >= SYNC_BYTES && !syncing) {
        unsynced = 0;
        syncing = file.sync().then(() => {
          syncing = undefined;
        }, fail);
      }
    }
    await syncing;
  } catch (error) {
    fail(error);
    await syncing;
  } finally {
    clearTimeout(idle);
    clearInterval(window);
    signal.removeEventListener('abort', onAbort);
    // The listener of `error` stays: an error after this must not be unhandled.
    body.off('data', onData).off('end', onEnd).off('close', onBroken);
  }
  return { end: from + written, hash, failure };
}

/** Frees the memory of a written chunk at once: garbage collection would let about 80 MiB of chunks accumulate. */
function free({ buffer, byteLength }: Buffer): void {
  // A slice of a larger buffer may share it with others.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
