import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { LOOP_LIMITS, LOOP_TURNS, type LoopLimits } from '#proto/process/stuck-loop.ts';

/** What the thread of watchdog-thread.ts is given. */
export type Watched = {
  /** One Int32: how often the loop has turned. */
  turns: SharedArrayBuffer;
  limits: LoopLimits;
  /** What it writes to the log before it ends the process: a line of the log without time and message. */
  line: Record<string, unknown>;
};

/**
 * Has this process ended when its event loop is stuck, so that whoever started it starts it again. A supervisor is
 * told that the loop turns and ends the process itself; where there is none, a thread of this process does, which
 * costs some 15 MB.
 */
export function watchLoop(log: Logger, limits: LoopLimits = LOOP_LIMITS): void {
  if (process.connected) {
    const tell = () => {
      if (process.connected) process.send?.(LOOP_TURNS, undefined, {}, () => {});
    };
    tell();
    setInterval(tell, limits.everyMs).unref();
    return;
  }
  const turns = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const counter = new Int32Array(turns);
  const line = { ...log.bindings(), pid: process.pid, level: log.levels.values.fatal };
  const data: Watched = { turns, limits, line };
  const worker = new Worker(new URL('./watchdog-thread.ts', import.meta.url), { workerData: data });
  worker.on('error', (err) => log.warn({ err }, 'nobody watches the event loop of this process'));
  worker.unref();
  counter[0] = 1;
  setInterval(() => Atomics.add(counter, 0, 1), limits.everyMs).unref();
}
