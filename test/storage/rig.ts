import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Static, TSchema } from '@sinclair/typebox';
import type { Bus } from '#proto/bus/bus.ts';
import { locateBlob } from '#proto/content/blobs.ts';
import { type Claim, commitBlob, startUpload } from '#proto/content/ingests.ts';
import { getManifest, type LeftOutManifest, putManifest } from '#proto/content/manifests.ts';
import type { Event } from '#proto/contract/contract.ts';
import type { UserName } from '#proto/contract/users.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { Volume } from '#proto/volume/volume.ts';
import { HistoryRoom } from '../../services/storage/history/history-room.ts';
import { DEFAULT_MAINTENANCE, type Maintenance } from '../../services/storage/maintenance/sweep.ts';
import { serve } from '../../services/storage/serve.ts';
import { Storage } from '../../services/storage/storage.ts';
import { quiet, TestBus } from '../support/bus.ts';
import { bytesOf, digestOf, jsonOf } from './samples.ts';

export { bytesOf, digestOf, fault, jsonOf, random } from './samples.ts';

/** Another service as a client of storage, over the bus and the data volume. */
export class Client {
  readonly bus: Bus;
  readonly data: string;
  readonly volume: Volume;
  readonly by: string;

  constructor(bus: Bus, data: string, by: string) {
    this.bus = bus;
    this.data = data;
    this.volume = new Volume(data);
    this.by = by;
  }

  call: Bus['call'] = (contract, query, options) => this.bus.call(contract, query, options);

  /** Writes all of the bytes into an ingest. */
  async write(claim: Claim, bytes: Uint8Array, position = 0): Promise<void> {
    await using file = await this.volume.openIngest(claim);
    await file.write([bytes], position);
  }

  /** A held upload with these bytes in it. */
  async uploaded(repository: string, bytes: Uint8Array): Promise<Claim> {
    const claim = await this.call(startUpload, { repository, by: this.by, hold: true });
    await this.write(claim, bytes);
    return claim;
  }

  /** Uploads and commits a blob. @returns its digest */
  async push(repository: string, bytes: Uint8Array, digest = digestOf(bytes)): Promise<string> {
    const { id, claim } = await this.uploaded(repository, bytes);
    await this.call(commitBlob, { id, claim, digest, repository, hashed: digestOf(bytes) });
    return digest;
  }

  /** Uploads and commits a manifest. @returns its digest */
  async pushManifest(
    repository: string,
    manifest: unknown,
    more: {
      tag?: string;
      mediaType?: string;
      expect?: string | null;
      base?: boolean;
      arrived?: boolean;
      leftOut?: LeftOutManifest[];
    } = {},
  ): Promise<string> {
    const bytes = manifest instanceof Uint8Array ? manifest : jsonOf(manifest);
    const digest = digestOf(bytes);
    const { id, claim } = await this.uploaded(repository, bytes);
    const { mediaType = mediaTypes.ociManifest, ...rest } = more;
    await this.call(putManifest, { repository, digest, mediaType, id, claim, ...rest });
    return digest;
  }

  /** An image of one small layer whose content is `text`. @returns the digest of its manifest */
  async pushImage(repository: string, text: string, more: Parameters<Client['pushManifest']>[2] = {}) {
    await this.push(repository, bytesOf('{}'));
    await this.push(repository, bytesOf(text));
    return this.pushManifest(repository, imageOf(text), more);
  }

  async read(repository: string, digest: string): Promise<Uint8Array> {
    const { path } = await this.call(locateBlob, { repository, digest });
    return readFile(join(this.data, path));
  }

  async readManifest(repository: string, reference: string): Promise<Uint8Array> {
    const { path } = await this.call(getManifest, { repository, reference });
    return readFile(join(this.data, path));
  }
}

export const descriptorOf = (bytes: Uint8Array, mediaType = 'application/octet-stream') => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.byteLength,
});

/** A manifest with an empty config and one layer whose content is `text`. */
export const imageOf = (text: string, more: object = {}) => ({
  schemaVersion: 2,
  mediaType: mediaTypes.ociManifest,
  config: descriptorOf(bytesOf('{}'), 'application/vnd.oci.empty.v1+json'),
  layers: [descriptorOf(bytesOf(text))],
  ...more,
});

export const indexOf = (...manifests: object[]) => ({
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests,
});

/** Storage on a folder of its own, served on a real bus. */
export class Rig implements AsyncDisposable {
  readonly data: string;
  readonly gateway: Client;
  readonly syncer: Client;
  /** Published events, in order: `[type, data]`. */
  readonly events: [string, unknown][] = [];
  now = Date.UTC(2030, 0, 1);
  /** How far the wall clock is ahead of the monotonic clock, in ms. */
  ahead = 0;
  storage!: Storage;
  #maintenance = DEFAULT_MAINTENANCE;
  readonly #bus: Bus;
  readonly #layer: string;
  #served: AsyncDisposable | undefined;

  /**
   * @param data the data volume, if not a temporary folder; it is deleted with the rig
   * @param layer name of the layer
   */
  static async open(buses: Buses, data?: string, layer?: string): Promise<Rig> {
    const rig = new Rig(data ?? (await mkdtemp(join(tmpdir(), 'terrace-storage-'))), buses, layer);
    await rig.start();
    return rig;
  }

  private constructor(data: string, { storage, gateway, syncer }: Buses, layer = 'layer') {
    this.#layer = layer;
    this.data = data;
    this.#bus = storage;
    this.gateway = new Client(gateway, data, 'gateway-1');
    this.syncer = new Client(syncer, data, 'syncer-1');
  }

  async start(): Promise<void> {
    const publish = <T extends TSchema>(event: Event<T>, data: Static<T>) => {
      this.events.push([event.type, data]);
    };
    this.storage = await Storage.open({
      data: this.data,
      layer: this.#layer,
      publish,
      log: quiet,
      now: () => this.now + this.ahead,
      running: () => this.now,
    });
    this.storage.configure(this.#maintenance);
    this.#served = serve(this.#bus, this.storage, new HistoryRoom({ bus: this.#bus, log: quiet }));
    await this.#bus.flush();
  }

  /** Applies a configuration of maintenance; absent fields keep their values. */
  configure({
    garbage,
    ...more
  }: Partial<Omit<Maintenance, 'garbage'>> & { garbage?: Partial<Maintenance['garbage']> }): void {
    this.#maintenance = {
      ...this.#maintenance,
      ...more,
      garbage: { ...this.#maintenance.garbage, ...garbage },
    };
    this.storage.configure(this.#maintenance);
  }

  /** Stops storage gracefully. */
  async stop(): Promise<void> {
    await this.#served?.[Symbol.asyncDispose]();
    await this.storage[Symbol.asyncDispose]();
    await this.#bus.flush();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    // A measurement of the free space that is in progress may finish a file after this.
    await rm(this.data, { recursive: true, force: true, maxRetries: 10 });
  }
}

export type Buses = Record<'storage' | 'gateway' | 'syncer', Bus> & { server: TestBus };

/** One server and the connections of the three services, for all tests of a file. */
export async function connectAll(): Promise<Buses> {
  const server = await TestBus.start();
  const [storage, gateway, syncer] = await Promise.all(
    (['storage', 'gateway', 'syncer'] satisfies UserName[]).map((user) => server.connect(user)),
  );
  return { server, storage: storage!, gateway: gateway!, syncer: syncer! };
}
