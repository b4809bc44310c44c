import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../run-program.ts';
import { programFiles } from '../sources/debian.ts';
import type { Builder, Engine } from './engine.ts';

const START_MS = 60_000;
const STOP_MS = 60_000;
const POLL_MS = 200;

/** Which docker: packages by suite of Debian. Those of a newer suite run with the libraries of this machine. */
export const DOCKERS = {
  /** 20.10, with its own BuildKit; compiled by Go 1.19. */
  docker: { bookworm: ['docker.io', 'containerd', 'runc', 'tini'] },
  /** 28, with buildx; compiled by Go 1.27, whose gzip differs. */
  'docker-28': {
    bookworm: ['runc', 'tini'],
    sid: ['docker.io', 'docker-cli', 'docker-buildx', 'containerd'],
  },
};

/** A dockerd of its own, with BuildKit, which keeps all it has in one folder. */
export class Docker implements Engine {
  readonly builders: readonly Builder[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #daemon: ChildProcess;

  static async start(folder: string, name: keyof typeof DOCKERS): Promise<Docker> {
    const place = (file: string) => join(folder, file);
    await mkdir(folder, { recursive: true });
    const programs = await programFiles(folder, DOCKERS[name]);
    const path = ['usr/bin', 'usr/sbin'].map((each) => join(programs, each));
    const plugins = join(programs, 'usr/libexec/docker/cli-plugins');
    await writeFile(place('config.json'), JSON.stringify({ cliPluginsExtraDirs: [plugins] }));
    await writeFile(place('daemon.json'), '{}');
    const env = {
      ...process.env,
      PATH: [...path, process.env.PATH].join(delimiter),
      DOCKER_HOST: `unix://${place('socket')}`,
      DOCKER_CONFIG: folder,
      DOCKER_BUILDKIT: '1',
    };
    const parameters = {
      'config-file': place('daemon.json'),
      'data-root': place('data'),
      'exec-root': place('exec'),
      pidfile: place('pid'),
      host: env.DOCKER_HOST,
      'storage-driver': 'overlay2',
      bridge: 'none',
      iptables: 'false',
      ip6tables: 'false',
    };
    const log = openSync(place('log'), 'w');
    const options = Object.entries(parameters).map(([option, value]) => `--${option}=${value}`);
    const daemon = spawn('dockerd', options, { env, stdio: ['ignore', log, log] });
    closeSync(log);
    const docker = new Docker(name, daemon, env);
    try {
      await docker.#started(place('log'));
      return docker;
    } catch (error) {
      await docker[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(name: string, daemon: ChildProcess, env: NodeJS.ProcessEnv) {
    this.#daemon = daemon;
    this.#env = env;
    const push = async (image: string, reference: string) => {
      await this.#execute('tag', image, reference);
      await this.#execute('push', '--quiet', reference);
      await this.#execute('rmi', reference);
    };
    this.builders = [{ name, push }];
  }

  async build(folder: string, image: string, { useCache }: { useCache: boolean }): Promise<void> {
    const options = useCache ? [] : ['--no-cache'];
    await this.#execute('build', '--quiet', '--network=host', ...options, '--tag', image, folder);
  }

  async remove(images: readonly string[]): Promise<void> {
    await this.#execute('rmi', '--force', ...images);
    await this.#execute('builder', 'prune', '--all', '--force');
  }

  /** Ends the daemon, which ends its containerd. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#daemon.exitCode !== null || this.#daemon.signalCode !== null) return;
    const exit = once(this.#daemon, 'exit');
    this.#daemon.kill('SIGTERM');
    const timeout = setTimeout(() => this.#daemon.kill('SIGKILL'), STOP_MS);
    await exit;
    clearTimeout(timeout);
  }

  async #started(log: string): Promise<void> {
    for (const end = Date.now() + START_MS; ; await sleep(POLL_MS)) {
      const isAnswering = await this.#execute('version').then(
        () => true,
        () => false,
      );
      if (isAnswering) return;
      if (this.#daemon.exitCode !== null || Date.now() > end)
        throw new Error(`dockerd did not start: ${(await readFile(log, 'utf8')).slice(-2_000)}`);
    }
  }

  async #execute(...parameters: string[]): Promise<void> {
    await run('docker', parameters, { env: this.#env });
  }
}
