import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execute } from './debian.ts';

/** Container clients of Debian, with a store of their own, which is deleted with them. */
export class Clients implements AsyncDisposable {
  readonly folder: string;
  #images = 0;

  static async create(): Promise<Clients> {
    const clients = new Clients(await mkdtemp(join(tmpdir(), 'terrace-clients-')));
    await writeFile(clients.#authFile(), '{}');
    return clients;
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @returns its stdout */
  buildah(...parameters: string[]): Promise<string> {
    return this.#execute('buildah', [...this.#storeOptions(), ...parameters]);
  }

  podman(...parameters: string[]): Promise<string> {
    return this.#execute('podman', [...this.#storeOptions(), ...parameters]);
  }

  skopeo(...parameters: string[]): Promise<string> {
    return this.#execute('skopeo', parameters);
  }

  /** Builds an image of one small layer, a file with `text`. @returns its name in the store */
  async buildSmallImage(text: string): Promise<string> {
    const name = `small-${this.#images++}`;
    const file = join(this.folder, name);
    await writeFile(file, text);
    const container = await this.buildah('from', 'scratch');
    await this.buildah('copy', container, file, '/words');
    await this.buildah('commit', '--format', 'oci', '--rm', container, name);
    return name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }

  /** Used instead of the credentials of the user who runs the tests. */
  #authFile(): string {
    return join(this.folder, 'auth.json');
  }

  /** podman and buildah share the store, so that one can push what the other has built. */
  #storeOptions(): string[] {
    const folder = (name: string) => join(this.folder, name);
    return ['--root', folder('store'), '--runroot', folder('run'), '--storage-driver', 'vfs'];
  }

  async #execute(program: string, parameters: string[]): Promise<string> {
    const env = { ...process.env, REGISTRY_AUTH_FILE: this.#authFile() };
    const { stdout } = await execute(program, parameters, { env, maxBuffer: 16 * 1024 * 1024 });
    return stdout.trim();
  }
}
