import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execute } from './debian.ts';

/** Container clients from Debian, with a store of their own that goes with them. */
export class Clients implements AsyncDisposable {
  readonly folder: string;
  #images = 0;

  static async create(): Promise<Clients> {
    const clients = new Clients(await mkdtemp(join(tmpdir(), 'terrace-clients-')));
    await writeFile(clients.#accounts(), '{}');
    return clients;
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @returns what it printed */
  buildah(...words: string[]): Promise<string> {
    return this.#run('buildah', [...this.#store(), ...words]);
  }

  podman(...words: string[]): Promise<string> {
    return this.#run('podman', [...this.#store(), ...words]);
  }

  skopeo(...words: string[]): Promise<string> {
    return this.#run('skopeo', words);
  }

  /** Builds an image of one small layer. @returns its name in the store */
  async image(words: string): Promise<string> {
    const name = `small-${this.#images++}`;
    const file = join(this.folder, name);
    await writeFile(file, words);
    const container = await this.buildah('from', 'scratch');
    await this.buildah('copy', container, file, '/words');
    await this.buildah('commit', '--format', 'oci', '--rm', container, name);
    return name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }

  /** Instead of the accounts of whoever runs the tests. */
  #accounts(): string {
    return join(this.folder, 'auth.json');
  }

  /** podman and buildah share it, so what one built the other can push. */
  #store(): string[] {
    const folder = (name: string) => join(this.folder, name);
    return ['--root', folder('store'), '--runroot', folder('run'), '--storage-driver', 'vfs'];
  }

  async #run(program: string, words: string[]): Promise<string> {
    const own = { ...process.env, REGISTRY_AUTH_FILE: this.#accounts() };
    const { stdout } = await execute(program, words, { env: own, maxBuffer: 16 * 1024 * 1024 });
    return stdout.trim();
  }
}
