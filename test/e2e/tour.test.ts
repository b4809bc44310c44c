import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../support/ports.ts';
import { patienceSignal, until } from '../support/until.ts';

/**
 * The README's tour, typed line by line: each command must print what the README shows. Only the ports and /tmp are
 * replaced, by free ports and a temporary folder. `…` stands for any text, and on a line of its own for any lines.
 */

const root = join(import.meta.dirname, '../..');
const MAX_README_BYTES = 6_144;
const CTRL_C = '^C';

/** A command in one of the terminals, and the lines that it prints. */
type Step = { terminal: string; typed: string; output: string[] };

test('the README is short', async () => {
  const { length } = await readFile(join(root, 'README.md'));
  assert.ok(length <= MAX_README_BYTES, `${length} bytes`);
});

test('each command of the README tour prints what the README shows', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'terrace-tour-'));
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  const accounts = join(folder, 'auth.json');
  await writeFile(accounts, '{}');
  const { NODE_TEST_CONTEXT: _context, ...inherited } = process.env;
  const env = { ...inherited, REGISTRY_AUTH_FILE: accounts, npm_config_update_notifier: 'false' };

  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const terminals = new Map<string, Terminal>();
  for (const { terminal, typed, output } of stepsOf(await withFreePorts(folder, tourOf(readme)))) {
    let window = terminals.get(terminal);
    if (!window) {
      window = stack.use(new Terminal(env));
      terminals.set(terminal, window);
    }
    if (typed === CTRL_C) {
      assert.match(await window.interrupt(), patternOf(output));
    } else if (/^(npm start|npx terrace up) /.test(typed)) {
      await window.start(typed, runningPatternOf(output));
    } else {
      await window.run(typed, patternOf(output));
    }
  }
  assert.equal(terminals.size, 4);
});

function tourOf(readme: string): string {
  const tour = /^## Five-minute tour\n([\s\S]*?)^## /m.exec(readme)?.[1];
  assert.ok(tour, 'the README has a tour');
  return tour;
}

async function withFreePorts(folder: string, tour: string): Promise<string> {
  const address = /\b127\.0\.0\.1:\d+\b/g;
  const replaced = new Map<string, string>();
  for (const [written] of tour.matchAll(address)) {
    if (!replaced.has(written)) replaced.set(written, `127.0.0.1:${await freePort()}`);
  }
  return tour
    .replace(address, (written) => replaced.get(written) as string)
    .replaceAll('/tmp/', `${folder}/`);
}

/** Each block begins with a comment that names the terminal. Commands begin with `$ ` or are `^C`. */
function stepsOf(tour: string): Step[] {
  const steps: Step[] = [];
  for (const [, block = ''] of tour.matchAll(/^```console\n([\s\S]*?)^```$/gm)) {
    const [title = '', ...lines] = block.trimEnd().split('\n');
    const terminal = /^# (Terminal \d):/.exec(title)?.[1];
    assert.ok(terminal, `a block names its terminal first: ${title}`);
    const before = steps.length;
    for (const line of lines) {
      if (line === CTRL_C) steps.push({ terminal, typed: line, output: [] });
      else if (line.startsWith('$ ')) steps.push({ terminal, typed: line.slice(2), output: [] });
      else {
        assert.ok(steps.length > before, `a command precedes its output: ${line}`);
        steps.at(-1)?.output.push(line);
      }
    }
  }
  assert.equal(tour.match(/^```/gm)?.length, 2 * new Set(tour.match(/^# Terminal.*$/gm)).size);
  return steps;
}

const linesPattern = (output: string[]): string =>
  output
    .map((line) => (line === '…' ? '(?:.*\\n)*?' : `${RegExp.escape(line).replaceAll('…', '.*')}\\n`))
    .join('');

const patternOf = (output: string[]): RegExp => new RegExp(`^${linesPattern(output)}$`);
/** A layer may print notices before it serves. */
const runningPatternOf = (output: string[]): RegExp => new RegExp(`(?:^|\\n)${linesPattern(output)}$`);

/** A terminal in the folder of the repository. */
class Terminal implements AsyncDisposable {
  readonly #env: NodeJS.ProcessEnv;
  #running: ChildProcess | undefined;
  /** Output of the running command since it was typed, or since Ctrl-C. */
  #text = '';

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  /** Types a command that keeps running, and waits until its output matches. */
  async start(command: string, expected: RegExp): Promise<void> {
    const child = this.#type(command);
    await until(
      () => {
        if (expected.test(this.#text)) return true;
        assert.equal(child.exitCode ?? child.signalCode, null, `"${command}" ended: ${this.#text}`);
        return false;
      },
      () => `"${command}" prints ${expected}; printed:\n${this.#text}`,
    );
  }

  /** Repeats a command until its output matches: what it reports may come about a moment later. */
  async run(command: string, expected: RegExp): Promise<void> {
    await until(
      async () => {
        await this.#end(this.#type(command));
        return expected.test(this.#text);
      },
      () => `"${command}" prints ${expected}; printed:\n${this.#text}`,
    );
  }

  /** Types Ctrl-C. @returns the output from then on to the end of the command */
  async interrupt(): Promise<string> {
    const child = this.#running;
    assert.ok(child?.pid, 'a command runs');
    this.#text = '';
    process.kill(-child.pid, 'SIGINT');
    await this.#end(child);
    return this.#text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running) await this.interrupt();
  }

  #type(command: string): ChildProcess {
    assert.equal(this.#running, undefined, `the terminal is free for "${command}"`);
    // In a process group of its own, as a terminal has it: Ctrl-C reaches all of the group.
    const child = spawn('sh', ['-c', command], {
      cwd: root,
      env: this.#env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running = child;
    this.#text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (data) => {
        this.#text += data;
      });
    }
    child.once('close', () => {
      this.#running = undefined;
    });
    return child;
  }

  async #end(child: ChildProcess): Promise<void> {
    if (this.#running === child) await once(child, 'close', { signal: patienceSignal() });
  }
}
