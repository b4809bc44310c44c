import type { Readable } from 'node:stream';
import { Fault, fromWire, toWire } from '#proto/contract/fault.ts';
import type { IngestFile } from '#proto/volume/volume.ts';
import { type MinimumRate, RateMeter } from '../http/minimum-rate.ts';
import type { RunningHash } from './running-hashes.ts';

export type ReceiveOptions = {
  /** Where the first byte goes. */
  from: number;
  /** Of the bytes before `from`; goes on with those that come. */
  hash?: RunningHash | undefined;
  /** How many bytes may come, and what it is called when there are more. */
  limit: number;
  excess: Fault['code'];
  idleMs: number;
  minimumRate: MinimumRate;
  /** Aborts when writing must stop; its reason is a Fault. */
  signal: AbortSignal;
};

export type Received = {
  /** Where the bytes that are written end. */
  end: number;
  /** Of the bytes before `end`. */
  hash: RunningHash | undefined;
  /** Why the body did not come whole. What came before is written all the same. */
  failure: Fault | undefined;
};

/** This much waits in memory at most while as much is being written. */
const BATCH = 2 * 1024 * 1024;
/** The disk gets work this often, so that storage hardly waits for it at commit; never twice at once. */
const SYNC_EVERY = 8 * 1024 * 1024;

/**
 * Writes a request's body into an ingest. Bytes are hashed as they come while those before them are being written,
 * all that has gathered in one call; a body faster than the disk is paused. Never rejects: what has been written
 * is told with the reason for the end.
 */
export async function receive(body: Readable, file: IngestFile, options: ReceiveOptions): Promise<Received> {
  const { from, limit, idleMs, minimumRate, signal } = options;
  let { hash } = options;
  let failure: Fault | undefined;
  let ended = false;
  let taken = 0;
  let written = 0;
  let batch: Buffer[] = [];
  let gathered = 0;
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
    if (taken + chunk.byteLength > limit) {
      stop(new Fault(options.excess, `the body has more than ${limit} bytes`));
      return;
    }
    taken += chunk.byteLength;
    meter.came(chunk.byteLength);
    hash?.hash.update(chunk);
    batch.push(chunk);
    gathered += chunk.byteLength;
    if (gathered >= BATCH) body.pause();
    wake?.();
  };
  const onEnd = () => stop();
  const onBroken = () => stop(new Fault('size-invalid', 'the connection ended in the middle of the body'));
  const onAbort = () => {
    batch = [];
    fail(signal.reason);
  };
  // Counts only while this waits for the client, not while the client waits for the disk.
  const idle = setTimeout(() => {
    if (!wake) idle.refresh();
    else stop(new Fault('upload-invalid', `no byte came for ${idleMs / 1000} s`));
  }, idleMs).unref();

  const meter = new RateMeter(minimumRate, performance.now());
  const window = setInterval(() => {
    const came = meter.next(performance.now());
    if (came === undefined) return;
    const [bytes, seconds] = [minimumRate.bytesPerSecond, minimumRate.windowMs / 1_000];
    const slow = `${came} bytes came in ${seconds} s: send at least ${bytes} a second, or go on later where the upload ends`;
    stop(new Fault('upload-invalid', slow));
  }, minimumRate.windowMs).unref();

  // What has been hashed is not what has been written from here on.
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
        meter.waits(performance.now());
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
        meter.works(performance.now());
        continue;
      }
      const [buffers, bytes] = [batch, gathered];
      batch = [];
      gathered = 0;
      if (!ended) body.resume();
      await file.write(buffers, from + written);
      written += bytes;
      buffers.forEach(free);
      unsynced += bytes;
      if (unsynced >= SYNC_EVERY && !syncing) {
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
    body.off('data', onData).off('end', onEnd).off('close', onBroken);
  }
  return { end: from + written, hash, failure };
}

/** Gives the memory of a written chunk back at once: garbage collection would let some 80 MiB of them gather first. */
function free({ buffer, byteLength }: Buffer): void {
  // A part of a greater buffer may share it with others.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
