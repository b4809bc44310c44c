import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { LOOP_LIMITS, LOOP_TURNS, type LoopLimits } from '#proto/process/stuck-loop.ts';

/** Worker data of watchdog-thread.ts. */
export type Watched = {
  /** One Int32: counter of turns of the loop. */
  turns: SharedArrayBuffer;
  limits: LoopLimits;
  /** Fields of the log line written before the kill, without `time` and `msg`. */
  line: Record<string, unknown>;
};

/**
 * Makes sure that this process is killed if its event loop is stuck, so that it is started again. A supervisor receives
 * a message every `everyMs` while the loop turns, and kills the process itself. Without a supervisor, a worker thread
 * does, at a cost of about 15 MB.
 */
export function watchLoop(log: Logger, limits: LoopLimits = LOOP_LIMITS): void {
  if (process.connected) {
    const report = () => {
      if (process.connected) process.send?.(LOOP_TURNS, undefined, {}, () => {});
    };
    report();
    setInterval(report, limits.everyMs).unref();
    return;
  }
  const turns = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const counter = new Int32Array(turns);
  const line = { ...log.bindings(), pid: process.pid, level: log.levels.values.fatal };
  const data: Watched = { turns, limits, line };
  const worker = new Worker(new URL('./watchdog-thread.ts', import.meta.url), { workerData: data });
  worker.on('error', (err) => log.warn({ err }, 'event loop watchdog failed'));
  worker.unref();
  counter[0] = 1;
  setInterval(() => Atomics.add(counter, 0, 1), limits.everyMs).unref();
}
