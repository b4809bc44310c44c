import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../run-program.ts';
import type { Builder, Engine } from './engine.ts';

/** buildah builds; buildah and podman push, from one store. */
export class Buildah implements Engine {
  readonly builders: readonly Builder[];
  readonly #folder: string;

  static async start(folder: string): Promise<Buildah> {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'auth.json'), '{}');
    return new Buildah(folder);
  }

  private constructor(folder: string) {
    this.#folder = folder;
    const push = (program: string, ...options: string[]) => {
      return async (image: string, reference: string): Promise<void> => {
        const target = `docker://${reference}`;
        await this.#execute(program, 'push', '--quiet', '--tls-verify=false', ...options, image, target);
      };
    };
    this.builders = [
      { name: 'buildah', push: push('buildah') },
      { name: 'podman-zstd-chunked', push: push('podman', '--compression-format', 'zstd:chunked') },
      { name: 'buildah-plain', isPlain: true, push: push('buildah', '--disable-compression') },
    ];
  }

  async build(folder: string, image: string, { useCache }: { useCache: boolean }): Promise<void> {
    // Without --layers, all instructions together are one layer.
    const options = ['--quiet', '--isolation', 'chroot', '--layers', ...(useCache ? [] : ['--no-cache'])];
    await this.#execute('buildah', 'bud', ...options, '--tag', image, folder);
  }

  async remove(images: readonly string[]): Promise<void> {
    await this.#execute('buildah', 'rmi', '--force', ...images);
    await this.#execute('buildah', 'rmi', '--prune', '--force');
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #execute(program: string, command: string, ...parameters: string[]): Promise<void> {
    const place = (name: string) => join(this.#folder, name);
    const store = ['--root', place('store'), '--runroot', place('run'), '--storage-driver', 'overlay'];
    const env = { ...process.env, REGISTRY_AUTH_FILE: place('auth.json') };
    await run(program, [...store, command, ...parameters], { env });
  }
}
