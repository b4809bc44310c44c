import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolders, writeBus } from '../../../cli/data/data-folder.ts';
import type { Report } from '../../../cli/doctor/doctor.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { freePort } from '../../support/ports.ts';

/** Runs `terrace doctor` in the process of the test, and finds what it reports. */

/** A data folder as a layer leaves it that has stopped, with a free port to listen on. */
export class StoppedLayer implements AsyncDisposable {
  readonly data: string;
  readonly listen: string;

  static async create(): Promise<StoppedLayer> {
    const data = await mkdtemp(join(tmpdir(), 'terrace-doctor-'));
    const port = await freePort();
    const folder = await makeFolders(data);
    await writeBus(folder, { host: '127.0.0.1', port, url: `nats://127.0.0.1:${port}` });
    return new StoppedLayer(data, `127.0.0.1:${await freePort()}`);
  }

  private constructor(data: string, listen: string) {
    this.data = data;
    this.listen = listen;
  }

  /** A file in the data folder, readable by its owner only. @returns its path */
  async write(name: string, text: string, mode = 0o600): Promise<string> {
    const path = join(this.data, name);
    await writeFile(path, text, { mode });
    return path;
  }

  examine(...parameters: string[]): Promise<Examined> {
    return examined('--data', this.data, '--listen', this.listen, ...parameters);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.data, { recursive: true, force: true });
  }
}

export type Examined = { code: number; report: Report };

export async function examined(...parameters: string[]): Promise<Examined> {
  const { code, stdout, text } = await runCommandHere('doctor', '--json', ...parameters);
  assert.ok(stdout.startsWith('{'), text);
  return { code, report: JSON.parse(stdout) as Report };
}

/** The faults of a report: the name of the check, what it found and the remedy. */
export const faultsOf = ({ checks }: Report): [string, string, string][] =>
  checks.flatMap(({ check, findings }) =>
    findings
      .filter(({ severity }) => severity === 'fault')
      .map(({ what, remedy }): [string, string, string] => [check, what, remedy]),
  );

/** Warnings that a machine of developers may deserve: an old nats-server, a data folder in a container. */
const OF_MACHINE = ['nats-server', 'file-system', 'memory', 'open-files', 'environment'];

export const warningsOf = ({ checks }: Report): [string, string][] =>
  checks
    .filter(({ check }) => !OF_MACHINE.includes(check))
    .flatMap(({ check, findings }) =>
      findings
        .filter(({ severity }) => severity === 'warning')
        .map(({ what }): [string, string] => [check, what]),
    );

/** Asserts that there is exactly one fault, of this check, and no warning; both texts match. */
export function onlyFault({ code, report }: Examined, check: string, what: RegExp, remedy: RegExp): void {
  const faults = faultsOf(report);
  assert.deepEqual(
    faults.map(([name]) => name),
    [check],
    JSON.stringify(faults, null, 2),
  );
  const [[, found = '', cure = ''] = []] = faults;
  assert.match(found, what);
  assert.match(cure, remedy);
  assert.deepEqual(warningsOf(report), []);
  assert.equal(report.summary.faults, 1);
  assert.equal(code, 1);
}

/** Asserts that these checks were not made, because that one has a fault. */
export function notMade({ report }: Examined, because: string, ...names: string[]): void {
  const states = names.map((name) => report.checks.find(({ check }) => check === name));
  assert.deepEqual(
    states.map((one) => [one?.state, one?.about]),
    names.map(() => ['not checked', `${because} has a fault`]),
  );
}
