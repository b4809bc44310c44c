import { readFile } from 'node:fs/promises';
import type { Configuration } from '#proto/configuration.ts';
import { Fault } from '#proto/fault.ts';
import type { SharedBandwidth } from './link/bandwidth.ts';
import { Parent } from './link/parent.ts';

/** The configuration in force, and the client of the parent that it names. */
export class Settings implements AsyncDisposable {
  /** Of the link, as configured now. */
  readonly bandwidth: SharedBandwidth;
  readonly #stallMs: number | undefined;
  #configuration: Configuration | undefined;
  #parent: { print: string; client: Parent } | undefined;
  /** Clients of earlier configurations, whose requests may still be under way. */
  readonly #old: Parent[] = [];

  /** @param stallMs a connection to the parent that brings nothing for so long is given up */
  constructor(bandwidth: SharedBandwidth, stallMs?: number) {
    this.bandwidth = bandwidth;
    this.#stallMs = stallMs;
  }

  set(configuration: Configuration): void {
    this.#configuration = configuration;
    this.bandwidth.set(configuration.bandwidth);
  }

  /** @throws Fault `config-invalid` where the layer has none yet, or no parent */
  get(): Configuration & { parent: NonNullable<Configuration['parent']> } {
    const { parent } = this.#configuration ?? {};
    if (!this.#configuration || !parent) {
      throw new Fault('config-invalid', 'this layer has no parent: set parent.url (--parent URL)');
    }
    return { ...this.#configuration, parent };
  }

  get hasParent(): boolean {
    return this.#configuration?.parent !== undefined;
  }

  /** The client for the parent as configured now. The password file is read again each time: it may have changed. */
  async parent(): Promise<Parent> {
    const { url, username, passwordFile } = this.get().parent;
    const login = username === undefined ? undefined : { username, password: await password(passwordFile) };
    const print = JSON.stringify([url, login]);
    if (this.#parent?.print !== print) {
      if (this.#parent) this.#old.push(this.#parent.client);
      this.#parent = {
        print,
        client: new Parent({
          url,
          login,
          bandwidth: this.bandwidth,
          ...(this.#stallMs && { stallMs: this.#stallMs }),
        }),
      };
    }
    return this.#parent.client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of [...this.#old, this.#parent?.client]) await client?.[Symbol.asyncDispose]();
  }
}

async function password(file: string | undefined): Promise<string> {
  if (file === undefined) return '';
  try {
    return (await readFile(file, 'utf8')).replace(/^\uFEFF/, '').replace(/[\r\n]+$/, '');
  } catch (cause) {
    throw new Fault('config-invalid', `parent.passwordFile ${file} can't be read`, { cause });
  }
}
