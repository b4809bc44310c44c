import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './until.ts';

/** The monitor of docs/guides/webhooks-and-monitors.md, as printed there. */

const root = join(import.meta.dirname, '../..');

export type MonitorEvent = { sequence: number; type: string; data: Record<string, unknown> };

/** A folder for the program and the file of its events, which contains its position. */
export async function monitorFolder(): Promise<AsyncDisposable & { path: string }> {
  // Below node_modules, so that its packages are found.
  await mkdir(join(root, 'node_modules/.cache'), { recursive: true });
  const path = await mkdtemp(join(root, 'node_modules/.cache/monitor-'));
  const guide = await readFile(join(root, 'docs/guides/webhooks-and-monitors.md'), 'utf8');
  const program = /^## Monitors[\s\S]*?```js\n([\s\S]*?)```/m.exec(guide)?.[1];
  assert.ok(program);
  await writeFile(join(path, 'monitor.mjs'), program);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Runs until it is killed. The next one in the same folder continues after its last event. */
export class Monitor implements AsyncDisposable {
  readonly #file: string;
  readonly #child: ChildProcess;

  constructor(folder: string, data: string, subject: string) {
    this.#file = join(folder, 'seen');
    const parameters = [join(folder, 'monitor.mjs'), data, subject, this.#file];
    this.#child = spawn(process.execPath, parameters, { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  /** All events that this monitor and earlier ones in its folder have received. */
  async events(): Promise<MonitorEvent[]> {
    const text = await readFile(this.#file, 'utf8').catch(() => '');
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const [sequence, , type = '', ...data] = line.split(' ');
        return { sequence: Number(sequence), type, data: JSON.parse(data.join(' ')) };
      });
  }

  untilEvent(predicate: (event: MonitorEvent) => boolean): Promise<void> {
    return until(async () => (await this.events()).some(predicate), `received: ${predicate}`);
  }

  /** Stops reading until it is killed; its connection stays open. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  /** SIGKILL. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }
}
