import { AsyncLocalStorage } from 'node:async_hooks';
import { runCommandLine } from '../../cli/command-line.ts';
import { output } from '../../cli/terminal/terminal.ts';

type Collected = { text: string; stdout: string };

const collecting = new AsyncLocalStorage<Collected>();
const { toStdout, toStderr } = output;

output.toStdout = (text) => {
  const collected = collecting.getStore();
  if (!collected) return toStdout(text);
  collected.text += text;
  collected.stdout += text;
};

output.toStderr = (text) => {
  const collected = collecting.getStore();
  if (!collected) return toStderr(text);
  collected.text += text;
};

/** One at a time: the exit code is one of the process. */
let last: Promise<unknown> = Promise.resolve();

/**
 * As `runCommand`, in the process of the test: loading the command takes longer than most commands. For all except
 * `up`, `syncer`, `repair` and `health`, which are or start processes of their own; and each of them has a test with
 * `runCommand` or `startCommand`, too.
 */
export function runCommandHere(...parameters: string[]): Promise<{ code: number } & Collected> {
  const run = last.then(() => runHere(parameters));
  last = run.catch(() => {});
  return run;
}

async function runHere(parameters: string[]): Promise<{ code: number } & Collected> {
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    const collected: Collected = { text: '', stdout: '' };
    const code = await collecting.run(collected, () => runCommandLine(parameters));
    return { code: code ?? Number(process.exitCode ?? 0), ...collected };
  } finally {
    process.exitCode = before;
  }
}
