import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from './until.ts';

/** Path of the `terrace` command. */
export const program = join(import.meta.dirname, '../../cli/terrace');

export type RunningCommand = {
  child: ChildProcess;
  /** Output so far, stdout and stderr together. */
  readonly text: string;
  /** Output so far, stdout only. */
  readonly stdout: string;
  /** Resolves with `text` when it matches the pattern. */
  untilOutput(pattern: RegExp): Promise<string>;
  /** Resolves with the exit code, or the name of the signal that ended the process. */
  exited(): Promise<number | string>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** Runs the command in a process group of its own: its pid is the id of the group, too. */
export const startCommand = (...parameters: string[]): RunningCommand => startCommandWith({}, ...parameters);

/** As `type`, with more environment variables. */
export const startCommandWith = (more: NodeJS.ProcessEnv, ...parameters: string[]): RunningCommand =>
  startProgram(program, more, ...parameters);

/** The same with the `terrace` command of another version, by its path. */
export function startProgram(path: string, more: NodeJS.ProcessEnv, ...parameters: string[]): RunningCommand {
  const { NODE_TEST_CONTEXT: _context, ...inherited } = process.env;
  const env = { ...inherited, ...more };
  const child = spawn(path, parameters, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
  let text = '';
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (data) => {
    stdout += data;
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (data) => {
      text += data;
    });
  }
  const end = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  const ms = patience();
  const within = async <T>(work: Promise<T>, what: string): Promise<T> => {
    const settled = new AbortController();
    const timeout = sleep(ms, undefined, { signal: settled.signal }).then(() => {
      throw new Error(`terrace ${parameters.join(' ')}: ${what} took more than ${ms} ms; output:\n${text}`);
    });
    timeout.catch(() => {});
    try {
      return await Promise.race([work, timeout]);
    } finally {
      settled.abort();
    }
  };
  return {
    child,
    get text() {
      return text;
    },
    get stdout() {
      return stdout;
    },
    untilOutput: async (pattern) => {
      const found = async () => {
        for (;;) {
          if (pattern.test(text)) return text;
          const ended = child.exitCode ?? child.signalCode;
          if (ended !== null) throw new Error(`exited with ${ended}; output:\n${text}`);
          await sleep(10);
        }
      };
      return within(found(), `output ${pattern}`);
    },
    exited: () => within(end, 'its exit'),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await within(end, 'its exit');
      }
    },
  };
}

/** Runs the command until it exits. */
export async function runCommand(
  ...parameters: string[]
): Promise<{ code: number | string; text: string; stdout: string }> {
  const typed = startCommand(...parameters);
  const code = await typed.exited();
  return { code, text: typed.text, stdout: typed.stdout };
}
