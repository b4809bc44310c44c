import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from './until.ts';

/** The `terrace` command, typed as a person types it. */
export const program = join(import.meta.dirname, '../../cli/terrace');

export type Typed = {
  child: ChildProcess;
  /** What it has written until now, both streams together. */
  readonly text: string;
  /** The same of its standard output alone. */
  readonly stdout: string;
  /** Resolves when it has written what the pattern says. */
  says(pattern: RegExp): Promise<string>;
  /** Resolves with its exit code, or the name of the signal that ended it. */
  ended(): Promise<number | string>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** In a process group of its own: its pid is the group's too. */
export const type = (...parameters: string[]): Typed => typeIn({}, ...parameters);

/** With these in the environment besides. */
export function typeIn(more: NodeJS.ProcessEnv, ...parameters: string[]): Typed {
  const { NODE_TEST_CONTEXT: _context, ...inherited } = process.env;
  const env = { ...inherited, ...more };
  const child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
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
    const late = new AbortController();
    const timeout = sleep(ms, undefined, { signal: late.signal }).then(() => {
      throw new Error(`terrace ${parameters.join(' ')}: ${what} took more than ${ms} ms; it said:\n${text}`);
    });
    timeout.catch(() => {});
    try {
      return await Promise.race([work, timeout]);
    } finally {
      late.abort();
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
    says: async (pattern) => {
      const found = async () => {
        for (;;) {
          if (pattern.test(text)) return text;
          const ended = child.exitCode ?? child.signalCode;
          if (ended !== null) throw new Error(`it ended with ${ended}; it said:\n${text}`);
          await sleep(10);
        }
      };
      return within(found(), `saying ${pattern}`);
    },
    ended: () => within(end, 'its end'),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await within(end, 'its end');
      }
    },
  };
}

/** Runs it to its end. */
export async function run(
  ...parameters: string[]
): Promise<{ code: number | string; text: string; stdout: string }> {
  const typed = type(...parameters);
  const code = await typed.ended();
  return { code, text: typed.text, stdout: typed.stdout };
}
