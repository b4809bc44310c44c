import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { program } from '../../support/terrace.ts';
import { patience } from '../../support/until.ts';

/** Real shells that complete command lines with the scripts of `terrace completion`. */

export const isInstalled = (shell: string): boolean =>
  ['/usr/bin', '/bin', '/usr/local/bin'].some((folder) => existsSync(`${folder}/${shell}`));

const env = { ...process.env, PATH: `${dirname(program)}:${process.env.PATH}`, TERM: 'xterm' };

/** What bash proposes for the last of these words, by the function that it calls for TAB. */
export function bashProposals(script: string, words: string[], cwd = '/'): string[] {
  const driver = `
    source "$0"
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _terrace
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', driver, script, ...words], {
    encoding: 'utf8',
    env,
    cwd,
  });
  // Without a command line, `compopt` has nothing to change.
  const errors = stderr.split('\n').filter((line) => line && !line.includes('compopt'));
  if (errors.length > 0) throw new Error(errors.join('\n'));
  return stdout.split('\n').filter(Boolean);
}

/** What fish proposes for a command line. */
export function fishProposals(script: string, line: string, cwd = '/'): string[] {
  const command = `source ${script}; complete -C '${line}'`;
  const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', command], {
    encoding: 'utf8',
    env,
    cwd,
  });
  if (stderr) throw new Error(stderr);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((proposal) => proposal.split('\t')[0] as string);
}

/** A shell in a terminal of its own, to which keys are sent. */
export class TypedShell implements AsyncDisposable {
  readonly #child: ChildProcess;
  #text = '';

  /** @param command with its arguments, an interactive shell */
  constructor(command: string, cwd: string) {
    this.#child = spawn('script', ['-qec', command, '/dev/null'], { env, cwd, detached: true });
    this.#child.stdout?.setEncoding('utf8').on('data', (data: string) => {
      this.#text += data;
    });
    this.#child.stdin?.on('error', () => {});
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Resolves when the terminal shows the text since the last call. */
  async shows(pattern: RegExp): Promise<void> {
    for (const end = performance.now() + patience(); ; await sleep(10)) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences of the terminal
      const text = this.#text.replace(/\u001b\[[\d;?]*[A-Za-z]|\u001b[=>]|[\r\u0007]/g, '');
      if (pattern.test(text)) break;
      if (performance.now() > end) throw new Error(`no ${pattern} in:\n${text}`);
    }
    this.#text = '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { pid } = this.#child;
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    await new Promise((resolve) => this.#child.once('close', resolve));
  }
}
