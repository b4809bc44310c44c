import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Fault, fromWire } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { formatSeconds } from '#proto/contract/quantity-text.ts';
import { type Order, REPORT_FD, type Report, type Task } from '../worker/task.ts';

const MAIN = join(import.meta.dirname, '../worker/main.ts');
/** Max size of the heap of JavaScript, in MB: what the codec reads and compresses is outside of it. */
const FLAGS = ['--max-old-space-size=128', '--max-semi-space-size=2'];
/** Time that the process has to report that its time is over, in ms. */
const REPORT_MS = 5_000;
const MAX_LOGGED = 4_000;
/** What of the environment the process gets: it reads bytes from outside, so it gets no password. */
const ENVIRONMENT = ['PATH', 'NODE_COMPILE_CACHE', 'MALLOC_ARENA_MAX'];

/** Code or signal with which a process ended. */
type Ended = [number | null, NodeJS.Signals | null];

export type RunOptions = {
  /** Environment of this process. */
  env: NodeJS.ProcessEnv;
  /** Kills the process. */
  signal: AbortSignal;
  log: Log;
  /** Receives the bytes in order, the next ones once it has resolved. If it throws, the process is killed. */
  onBytes: (bytes: Buffer) => Promise<void>;
};

export type Outcome = Exclude<Report, { kind: 'failed' }> & {
  /** Elapsed time. */
  ms: number;
};

/**
 * Runs one task in a process of its own, of low priority.
 * @throws Fault: those of the task; `unavailable` if the process crashed. What `onBytes` throws, and the reason of
 * `signal`
 */
export async function runTask(task: Task, { env, signal, log, onBytes }: RunOptions): Promise<Outcome> {
  signal.throwIfAborted();
  const begun = performance.now();
  const child = spawn(process.execPath, [...FLAGS, MAIN], {
    env: Object.fromEntries(ENVIRONMENT.map((name) => [name, env[name]])),
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  child.on('error', () => {});
  // Without file descriptors, it has no streams either.
  if (child.pid === undefined) {
    const [cause] = await once(child, 'error');
    throw new Fault('unavailable', 'no process could be started for the delta', { cause });
  }
  const { stdin, stdout, stderr } = child;
  const kill = () => child.kill('SIGKILL');
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    kill();
  }, task.limits.timeMs + REPORT_MS);
  signal.addEventListener('abort', kill, { once: true });
  try {
    // Its end is reported by `close`.
    stdin.on('error', () => {});
    const order: Order = { ...task, parent: process.pid };
    stdin.end(JSON.stringify(order));
    const closed = once(child, 'close');
    const report = text(child.stdio[REPORT_FD] as Readable);
    const logged = text(stderr);
    const received = receive(stdout, onBytes).catch((error) => {
      kill();
      throw error;
    });
    const [end, output, errors, bytes] = await Promise.allSettled([closed, report, logged, received]);
    signal.throwIfAborted();
    if (bytes.status === 'rejected') throw bytes.reason;
    if (errors.status === 'fulfilled' && errors.value) {
      log.warn(
        { task: task.kind, stderr: errors.value.slice(-MAX_LOGGED) },
        'the process of a delta reports',
      );
    }
    if (isLate)
      throw new Fault('too-slow', `it takes longer than ${formatSeconds(task.limits.timeMs)} (delta.time)`);
    if (end.status === 'rejected') {
      throw new Fault('unavailable', 'no process could be started for the delta', { cause: end.reason });
    }
    const done = output.status === 'fulfilled' ? reportOf(output.value) : undefined;
    if (!done) throw crashed(...(end.value as Ended));
    if (done.kind === 'failed') throw fromWire(done.fault);
    return { ...done, ms: Math.round(performance.now() - begun) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', kill);
  }
}

async function receive(stdout: Readable, onBytes: RunOptions['onBytes']): Promise<void> {
  for await (const bytes of stdout) await onBytes(bytes);
}

function reportOf(output: string): Report | undefined {
  try {
    return JSON.parse(output) as Report;
  } catch {
    return undefined;
  }
}

function crashed(code: Ended[0], signal: Ended[1]): Fault {
  const how = signal ? `was ended by ${signal}: memory may be short` : `failed with code ${code}`;
  return new Fault('unavailable', `the process of the delta ${how}`, { detail: { crashed: true } });
}
