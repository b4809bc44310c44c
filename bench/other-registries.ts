import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { stringify } from 'yaml';
import { reachable } from '../test/support/bus.ts';
import { freePort } from '../test/support/ports.ts';
import { timed } from './measure.ts';
import { TemporaryFolder } from './temporary-folder.ts';

/** How a registry is started that stores below `folder`. */
type Program = { name: string; program: string; args: (folder: string, port: number) => Promise<string[]> };

async function configured(path: string, configuration: object): Promise<string[]> {
  await writeFile(path, stringify(configuration));
  return ['serve', path];
}

const programs: Program[] = [
  {
    name: 'distribution',
    program: 'registry',
    args: (folder, port) =>
      configured(join(folder, 'config.yml'), {
        version: '0.1',
        log: { level: 'warn', accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: join(folder, 'registry') }, delete: { enabled: true } },
        http: { addr: `127.0.0.1:${port}` },
      }),
  },
  {
    name: 'zot',
    program: 'zot',
    args: (folder, port) =>
      configured(join(folder, 'config.yaml'), {
        storage: { rootDirectory: join(folder, 'registry') },
        http: { address: '127.0.0.1', port: String(port) },
        log: { level: 'error' },
      }),
  },
  {
    name: 'olareg',
    program: 'olareg',
    args: async (folder, port) => ['serve', '--addr', '127.0.0.1', '--port', String(port), '--dir', folder],
  },
];

export function isOnPath(program: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A registry with an empty folder, as a child process. */
export class OtherRegistry implements AsyncDisposable {
  readonly host: string;
  readonly #folder: TemporaryFolder;
  readonly #process: ChildProcess;

  static async start(name: string): Promise<OtherRegistry> {
    const found = programs.find((each) => each.name === name);
    if (!found) throw new Error(`no registry ${name}`);
    const folder = await TemporaryFolder.create();
    const port = await freePort();
    const child = spawn(found.program, await found.args(folder.path, port), { stdio: 'ignore' });
    const registry = new OtherRegistry(`127.0.0.1:${port}`, folder, child);
    const ended = Promise.race([once(child, 'exit'), once(child, 'error')]).then(() => {
      throw new Error(`${found.program} did not start`);
    });
    ended.catch(() => {});
    await Promise.race([reachable(port), ended]);
    return registry;
  }

  private constructor(host: string, folder: TemporaryFolder, child: ChildProcess) {
    this.host = host;
    this.#folder = folder;
    this.#process = child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.kill('SIGKILL')) await once(this.#process, 'exit');
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** Names of the registries whose program is on PATH. */
export const registriesOnPath = (): string[] =>
  programs.filter(({ program }) => isOnPath(program)).map(({ name }) => name);

/** Contenders that do the work with an empty registry each. @param work returns its duration in s */
export const withOtherRegistries = (work: (host: string, round: number) => Promise<number>) =>
  registriesOnPath().map((name) => ({
    name,
    run: async (round: number) => {
      await using registry = await OtherRegistry.start(name);
      return await work(registry.host, round);
    },
  }));

/** Copies the repositories with regsync. @param run runs a program to its end. @returns seconds */
export async function syncByRegsync(
  source: string,
  target: string,
  repositories: readonly string[],
  run: (program: string, args: string[]) => Promise<unknown>,
): Promise<number> {
  await using folder = await TemporaryFolder.create();
  const path = join(folder.path, 'regsync.yml');
  const configuration = {
    version: 1,
    creds: [source, target].map((registry) => ({ registry, tls: 'disabled' })),
    defaults: { parallel: 4, skipDockerConfig: true },
    sync: repositories.map((repository) => ({
      source: `${source}/${repository}`,
      target: `${target}/${repository}`,
      type: 'repository',
    })),
  };
  await writeFile(path, stringify(configuration));
  return await timed(() => run('regsync', ['once', '-c', path, '-v', 'error']));
}
