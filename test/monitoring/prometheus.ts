import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { freePort } from '../support/ports.ts';
import { patienceSignal, until } from '../support/until.ts';

/** Programs of Debian's package `prometheus`, and the files of deploy/monitoring. */

const folder = join(import.meta.dirname, '../../deploy/monitoring');
export const rulesFile = join(folder, 'terrace.rules.yml');
export const textOf = (name: string): string => readFileSync(join(folder, name), 'utf8');

export type Rule = {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: { summary: string; remedy: string };
};
type Rules = { groups: { name: string; rules: Rule[] }[] };
export const rules: Rule[] = (parse(textOf('terrace.rules.yml')) as Rules).groups.flatMap(
  (group) => group.rules,
);

/** Why tests that need Prometheus are skipped; false if they are not. */
export const missing: string | false = ['promtool', 'prometheus'].some(
  (program) => spawnSync(program, ['--version']).status !== 0,
)
  ? 'prometheus is not installed, and could not be'
  : false;

/** @returns its output @throws if it reports a problem */
export function promtool(parameters: string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', parameters, { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(`promtool ${parameters.join(' ')}:\n${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

export class TemporaryFiles implements AsyncDisposable {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<TemporaryFiles> {
    return new TemporaryFiles(await mkdtemp(join(tmpdir(), 'terrace-monitoring-')));
  }

  async write(name: string, text: string): Promise<string> {
    const path = join(this.path, name);
    await writeFile(path, text);
    return path;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.path, { recursive: true, force: true, maxRetries: 10 });
  }
}

type Alert = { labels: Record<string, string>; annotations: Record<string, string>; state: string };

/** A Prometheus that collects the metrics of a layer each second. Alerts fire at once. */
export class Prometheus implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #url: string;

  static async start(targets: string[]): Promise<Prometheus> {
    await using stack = new AsyncDisposableStack();
    const files = stack.use(await TemporaryFiles.create());
    const atOnce = textOf('terrace.rules.yml').replace(/^ +for: .*\n/gm, '');
    await files.write('rules.yml', atOnce);
    const scrape = { job_name: 'terrace', static_configs: [{ targets }] };
    const configuration = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yml'],
      scrape_configs: [scrape],
    };
    // YAML is a superset of JSON.
    const config = await files.write('prometheus.yml', JSON.stringify(configuration));
    const address = `127.0.0.1:${await freePort()}`;
    const child = spawn(
      'prometheus',
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(files.path, 'data')}`,
        `--web.listen-address=${address}`,
        '--log.level=warn',
      ],
      { stdio: 'ignore' },
    );
    stack.defer(async () => {
      if (child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    });
    const url = `http://${address}`;
    const isReady = () =>
      fetch(`${url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    await until(isReady, 'Prometheus is ready');
    return new Prometheus(url, stack.move());
  }

  private constructor(url: string, stack: AsyncDisposableStack) {
    this.#url = url;
    this.#stack = stack;
  }

  async #get<T>(path: string): Promise<T> {
    const answer = await fetch(`${this.#url}/api/v1/${path}`, { signal: patienceSignal() });
    return ((await answer.json()) as { data: T }).data;
  }

  /** Alerts that fire now, by name. */
  async firing(): Promise<Alert[]> {
    const { alerts } = await this.#get<{ alerts: Alert[] }>('alerts');
    return alerts.filter(({ state }) => state === 'firing');
  }

  /** The alert, once it fires with these labels. */
  async alert(name: string, wanted: Record<string, string> = {}): Promise<Alert> {
    let found: Alert | undefined;
    await until(async () => {
      found = (await this.firing()).find(
        ({ labels }) => labels.alertname === name && isMatch(wanted, labels),
      );
      return found !== undefined;
    }, `${name} fires`);
    return found as Alert;
  }

  async untilQuiet(name: string): Promise<void> {
    const isQuiet = async () => !(await this.firing()).some(({ labels }) => labels.alertname === name);
    await until(isQuiet, `${name} has ended`);
  }

  /** Why the last scrape of a target failed; empty if it did not. */
  async scrapeError(): Promise<string> {
    const { activeTargets } = await this.#get<{ activeTargets: { lastError: string; health: string }[] }>(
      'targets',
    );
    return activeTargets.map(({ lastError, health }) => (health === 'up' ? '' : lastError || health)).join();
  }

  /** Number of samples of an expression now. */
  async count(expression: string): Promise<number> {
    const { result } = await this.#get<{ result: unknown[] }>(
      `query?query=${encodeURIComponent(expression)}`,
    );
    return result.length;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

const isMatch = (wanted: Record<string, string>, labels: Alert['labels']): boolean =>
  Object.entries(wanted).every(([label, value]) => labels[label] === value);
