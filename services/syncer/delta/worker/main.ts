import { writeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { toWire } from '#proto/contract/fault.ts';
import { applyTask } from './apply-delta.ts';
import { WorkLimits } from './limits.ts';
import { makeTask } from './make-delta.ts';
import { yieldToOthers } from './priority.ts';
import { type Order, REPORT_FD, type Report, type Result } from './task.ts';

/** Services have 0, the lowest priority is 19. What is applied hardly waits for what is made meanwhile. */
const NICENESS = { make: 15, apply: 5 };

/** See `task.ts`. */
const task = JSON.parse(await text(process.stdin)) as Order;
yieldToOthers(NICENESS[task.kind]);
const limits = new WorkLimits(task);
const result = await work().catch((error): Result => {
  const fault = toWire(error);
  // For the log of the syncer.
  if (fault.code === 'internal') process.stderr.write(`${(error as Error).stack ?? error}\n`);
  return { kind: 'failed', fault };
});
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
const cpuMs = Math.round((userCPUTime + systemCPUTime) / 1_000);
const report: Report = { ...result, cpuMs, memoryBytes: maxRSS * 1_024 };
const bytes = Buffer.from(JSON.stringify(report));
for (let at = 0; at < bytes.length; ) at += writeSync(REPORT_FD, bytes, at);

async function work(): Promise<Result> {
  return task.kind === 'apply' ? applyTask(task, limits) : makeTask(task, limits);
}
