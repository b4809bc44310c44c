import { closeSync, openSync } from 'node:fs';
import { runTask } from '../../../services/syncer/delta/jobs/run-task.ts';
import { quiet } from '../../support/bus.ts';

/** Starts a delta without a free file descriptor, and prints the fault: the program of a test. */

const digest = `sha256:${'0'.repeat(64)}`;
const content = { digest, size: 1, path: '/dev/null' };
const limits = { timeMs: 10_000, memoryBytes: 2 ** 30, scratchBytes: 2 ** 30, reserveBytes: 1 };
const task = {
  ...{ kind: 'apply' as const, delta: content, bases: [], target: { digest, size: 1 } },
  ...{ scratch: '/tmp', limits },
};
const signal = new AbortController().signal;
const opened: number[] = [];
try {
  for (;;) opened.push(openSync('/dev/null', 'r'));
} catch {}
const code = await runTask(task, { env: process.env, signal, log: quiet, onBytes: async () => {} }).catch(
  (error) => error.code,
);
for (const one of opened) closeSync(one);
process.stdout.write(`${code}`);
