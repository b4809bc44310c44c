import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Static, TSchema } from '@sinclair/typebox';
import { Level } from 'level';
import type { BlobPlace } from '#proto/content/blobs.ts';
import type { Claim } from '#proto/content/ingests.ts';
import type { Event } from '#proto/contract/contract.ts';
import type { Log } from '#proto/contract/log.ts';
import { METADATA } from '#proto/volume/layout.ts';
import { Volume } from '#proto/volume/volume.ts';
import { Storage } from '../../../services/storage/storage.ts';
import type { ContentHarness, OpenIngest } from './suite/content-harness.ts';
import { contentSuite } from './suite/content-suite.ts';

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Storage on a data volume of its own, without a bus. */
class DataVolume implements ContentHarness {
  now = Date.UTC(2030, 0, 1);
  readonly events: [string, unknown][] = [];
  readonly #data: string;
  #storage!: Storage;

  static async open(): Promise<DataVolume> {
    const volume = new DataVolume(await mkdtemp(join(tmpdir(), 'terrace-content-')));
    await volume.#start();
    return volume;
  }

  private constructor(data: string) {
    this.#data = data;
  }

  get store(): Storage {
    return this.#storage;
  }

  get garbage(): Storage['garbage'] {
    return this.#storage.garbage;
  }

  status = () => this.#storage.status();

  async open(claim: Claim): Promise<OpenIngest> {
    const file = await new Volume(this.#data).openIngest(claim);
    return {
      write: (bytes, position) => file.write([bytes], position),
      sync: () => file.sync(),
      [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    };
  }

  resume = (claim: Claim) => new Volume(this.#data).resumeClaim(claim);
  suspend = (claim: Claim) => new Volume(this.#data).suspendClaim(claim);

  read({ path }: BlobPlace): Promise<Uint8Array> {
    return readFile(join(this.#data, path));
  }

  async #start(): Promise<void> {
    const publish = <T extends TSchema>({ type }: Event<T>, data: Static<T>) => {
      this.events.push([type, data]);
    };
    const now = () => this.now;
    this.#storage = await Storage.open({ data: this.#data, publish, log: silent, now, running: now });
  }

  async restart(): Promise<void> {
    await this.#storage[Symbol.asyncDispose]();
    await this.#start();
  }

  async reboot(): Promise<void> {
    await this.#storage[Symbol.asyncDispose]();
    const db = new Level<string, unknown>(join(this.#data, METADATA), { valueEncoding: 'json' });
    await db.put('x!boot', 'another boot');
    await db.close();
    await this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#storage[Symbol.asyncDispose]();
    await rm(this.#data, { recursive: true, force: true, maxRetries: 10 });
  }
}

contentSuite('storage on a data volume', () => DataVolume.open());
