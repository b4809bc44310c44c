import { spawnSync } from 'node:child_process';
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { processorMsOf } from '#proto/process/cpu-time.ts';
import { StuckLoop } from '#proto/process/stuck-loop.ts';
import type { Watched } from './watchdog.ts';

/** Worker thread of a process without a supervisor: kills the process if its event loop is stuck. */

const { turns, limits, line } = workerData as Watched;
const counter = new Int32Array(turns);
const clock = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
const loop = new StuckLoop(limits);

let stuckMs: number | undefined;
while (stuckMs === undefined) {
  // Never notified: a sleep that needs no event loop.
  Atomics.wait(clock, 0, 0, limits.everyMs);
  stuckMs = loop.poll(Atomics.load(counter, 0), processorMsOf(process.pid));
}
const msg = `the event loop has been stuck for ${Math.round(stuckMs / 1_000)} s: killing the process`;
try {
  writeSync(1, `${JSON.stringify({ ...line, time: Date.now(), msg })}\n`);
} catch {
  // The log has no reader: kill the process all the same.
}
process.kill(process.pid, 'SIGKILL');
// The first process of a container ignores signals from within it. The kernel itself kills a process that exceeds its
// limit of CPU time.
Atomics.wait(clock, 0, 0, 1_000);
spawnSync('prlimit', ['--pid', String(process.pid), '--cpu=1:1']);
