import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { reachable } from '../test/support/bus.ts';
import { freePort } from '../test/support/ports.ts';
import { type Contender, timed } from './measure.ts';
import { mustHaveTags } from './sync.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const execute = promisify(execFile);

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

function isOnPath(program: string): boolean {
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
class OtherRegistry implements AsyncDisposable {
  readonly host: string;
  readonly #folder: TemporaryFolder;
  readonly #process: ChildProcess;

  static async start(found: Program): Promise<OtherRegistry> {
    const folder = await TemporaryFolder.create();
    const port = await freePort();
    const child = spawn(found.program, await found.args(folder.path, port), { stdio: 'ignore' });
    const registry = new OtherRegistry(`127.0.0.1:${port}`, folder, child);
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${found.program} did not start`);
    });
    ended.catch(() => {});
    try {
      await Promise.race([reachable(port), ended]);
      return registry;
    } catch (error) {
      await registry[Symbol.asyncDispose]();
      throw error;
    }
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

/**
 * Contenders that do the work with an empty registry each, for those whose program is on PATH.
 * @param work returns its duration in s
 */
export const withOtherRegistries = (work: (host: string, round: number) => Promise<number>): Contender[] =>
  programs
    .filter(({ program }) => isOnPath(program))
    .map((program) => ({
      name: program.name,
      run: async (round: number) => {
        await using registry = await OtherRegistry.start(program);
        return await work(registry.host, round);
      },
    }));

/** Contenders that copy the repositories with regsync, if it is on PATH, into each of the registries. */
export const regsyncIntoOthers = (source: string, repositories: readonly string[]): Contender[] =>
  isOnPath('regsync')
    ? withOtherRegistries((target) => syncByRegsync(source, target, repositories)).map(({ name, run }) => ({
        name: `regsync into ${name}`,
        run,
      }))
    : [];

/** Copies the repositories and compares their tags. @returns the duration of regsync, in s */
async function syncByRegsync(
  source: string,
  target: string,
  repositories: readonly string[],
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
  const seconds = await timed(() => execute('regsync', ['once', '-c', path, '-v', 'error']));
  await mustHaveTags(source, target, repositories);
  return seconds;
}
