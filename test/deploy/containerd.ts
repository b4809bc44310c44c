import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execute, unpack } from '../support/registry/debian.ts';
import { until } from '../support/until.ts';

/** A containerd with folders of its own, as far as pulls need one: no pod and no container runs in it. */
export class Containerd implements AsyncDisposable {
  readonly folder: string;
  readonly #programs: string;
  readonly #process: ChildProcess;

  /**
   * That of the folder `TERRACE_CONTAINERD`, else Debian's, which is not installed for it.
   * @returns why there is none
   */
  static async start(): Promise<Containerd | string> {
    if (process.getuid?.() !== 0) return 'containerd runs as root only';
    // Layers are unpacked into mounts.
    const mayMount = await execute('unshare', ['--mount', 'true']).then(...yesOrNo);
    if (!mayMount) return 'nothing can be mounted here';
    const folder = await mkdtemp(join(tmpdir(), 'terrace-containerd-'));
    let programs = process.env.TERRACE_CONTAINERD;
    if (!programs) {
      await unpack(['containerd'], process.arch === 'arm64' ? 'arm64' : 'amd64', join(folder, 'debian'));
      programs = join(folder, 'debian/usr/bin');
    }
    if (!existsSync(join(programs, 'containerd'))) {
      await rm(folder, { recursive: true, force: true });
      return 'the Debian package containerd could not be loaded';
    }
    const unused = ['grpc.v1.cri', 'cri.v1.runtime', 'cri.v1.images', 'nri.v1.nri'];
    const configuration = [
      'version = 2',
      `root = "${folder}/root"`,
      `state = "${folder}/state"`,
      `disabled_plugins = ${JSON.stringify(unused.map((plugin) => `io.containerd.${plugin}`))}`,
      `[grpc]\naddress = "${folder}/socket"`,
      `[ttrpc]\naddress = "${folder}/ttrpc"`,
      `[plugins."io.containerd.internal.v1.opt"]\npath = "${folder}/opt"`,
    ];
    await writeFile(join(folder, 'config.toml'), configuration.join('\n'));
    const containerd = new Containerd(folder, programs);
    try {
      await until(
        () =>
          containerd.#ctr('version').then(
            () => true,
            () => false,
          ),
        'containerd serves',
      );
      return containerd;
    } catch (error) {
      await containerd[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(folder: string, programs: string) {
    this.folder = folder;
    this.#programs = programs;
    this.#process = spawn(join(programs, 'containerd'), ['--config', join(folder, 'config.toml')], {
      stdio: 'ignore',
    });
    this.#process.on('error', () => {});
  }

  /** @param hosts folder as `/etc/containerd/certs.d` @param login `name:password` @throws with the output of ctr */
  async pull(hosts: string, image: string, login?: string): Promise<void> {
    await this.#ctr('images', 'pull', '--hosts-dir', hosts, ...(login ? ['--user', login] : []), image);
  }

  /** Digest of the manifest of each image, by its name. */
  async images(): Promise<Record<string, string>> {
    const lines = (await this.#ctr('images', 'list')).split('\n').slice(1).filter(Boolean);
    return Object.fromEntries(
      lines.map((line) => line.split(/\s+/)).map(([name, , digest]) => [name, digest]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await exited;
    }
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }

  async #ctr(...parameters: string[]): Promise<string> {
    const address = ['--address', join(this.folder, 'socket')];
    return (await execute(join(this.#programs, 'ctr'), [...address, ...parameters])).stdout;
  }
}

const yesOrNo = [() => true, () => false] as const;
