import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './until.ts';

/** The program for monitors of the guide, as it is written there. */

const root = join(import.meta.dirname, '../..');

export type Seen = { sequence: number; type: string; data: Record<string, unknown> };

/** A folder with the program, and its place in the events. */
export async function monitorFolder(): Promise<AsyncDisposable & { path: string }> {
  // Where packages are found from.
  await mkdir(join(root, 'node_modules/.cache'), { recursive: true });
  const path = await mkdtemp(join(root, 'node_modules/.cache/monitor-'));
  const guide = await readFile(join(root, 'docs/guides/webhooks-and-monitors.md'), 'utf8');
  const program = /^## Monitors[\s\S]*?```js\n([\s\S]*?)```/m.exec(guide)?.[1];
  assert.ok(program);
  await writeFile(join(path, 'monitor.mjs'), program);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** It runs until it is killed, and goes on with the next one of the same folder. */
export class Monitor implements AsyncDisposable {
  readonly #file: string;
  readonly #child: ChildProcess;

  constructor(folder: string, data: string, subject: string) {
    this.#file = join(folder, 'seen');
    const parameters = [join(folder, 'monitor.mjs'), data, subject, this.#file];
    this.#child = spawn(process.execPath, parameters, { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  /** All that this one and those before it have seen. */
  async seen(): Promise<Seen[]> {
    const text = await readFile(this.#file, 'utf8').catch(() => '');
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const [sequence, , type = '', ...data] = line.split(' ');
        return { sequence: Number(sequence), type, data: JSON.parse(data.join(' ')) };
      });
  }

  sees(wanted: (seen: Seen) => boolean): Promise<void> {
    return until(async () => (await this.seen()).some(wanted), `seen: ${wanted}`);
  }

  /** It hears, and does nothing about it, until it is killed. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  /** kill -9 */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }
}
