import { resolve } from 'node:path';
import type { Bus } from '#proto/bus/bus.ts';
import { locateBlob } from '#proto/content/blobs.ts';
import { getManifest } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES } from '#proto/oci/manifest.ts';
import type { ReadManifestBytes } from '#proto/overview/content/manifest-view.ts';
import { type BlobFile, Volume } from '#proto/volume/volume.ts';

/** Committed content, read on the data volume where storage says that it is. */
export class LocalContent {
  readonly #bus: Bus;
  readonly #volume: Volume;

  constructor(bus: Bus, data: string) {
    this.#bus = bus;
    this.#volume = new Volume(resolve(data));
  }

  /** @throws Fault `name-unknown`, `manifest-unknown`, `unavailable` */
  readonly manifest: ReadManifestBytes = async (repository, reference) => {
    const place = await this.#bus.call(getManifest, { repository, reference });
    await using file = await this.#open(place);
    return { place, bytes: await readAll(file, place.size, MAX_MANIFEST_BYTES) };
  };

  /** A small blob. @throws Fault `blob-unknown`, `too-large`, `unavailable` */
  async blob(repository: string, digest: string, maxBytes: number): Promise<Buffer> {
    const place = await this.#bus.call(locateBlob, { repository, digest });
    await using file = await this.#open(place);
    return await readAll(file, place.size, maxBytes);
  }

  async #open(place: { path: string }): Promise<BlobFile> {
    const file = await this.#volume.openBlob(place);
    if (file) return file;
    throw new Fault(
      'unavailable',
      'the content is not on this data volume: name the volume of the layer with --data, or run terrace scrub',
    );
  }
}

async function readAll(file: BlobFile, size: number, maxBytes: number): Promise<Buffer> {
  if (size > maxBytes)
    throw new Fault('too-large', `the content has ${size} bytes: at most ${maxBytes} are read here`);
  const bytes = Buffer.alloc(size);
  if ((await file.read(bytes, 0)) === size) return bytes;
  throw new Fault('unavailable', 'the content is shorter than recorded: run terrace scrub');
}
