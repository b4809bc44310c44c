import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FILE_TIME } from '../program/assemble.ts';
import { packFolder } from './pack-folder.ts';

/** A folder in the OCI image layout (image-spec, "OCI Image Layout"), that any tool reads. */

export const INDEX = 'application/vnd.oci.image.index.v1+json';
export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const EMPTY = { mediaType: 'application/vnd.oci.empty.v1+json', bytes: Buffer.from('{}') };
const NAME = 'org.opencontainers.image.ref.name';

export type Descriptor = {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string; variant?: string };
  artifactType?: string;
  annotations?: Record<string, string>;
};

export type Attachment = {
  artifactType: string;
  /** Media type of its one layer, if that is another one. */
  mediaType?: string;
  bytes: Uint8Array;
  annotations?: Record<string, string>;
};

export class OciLayout {
  readonly folder: string;
  readonly #entries: Descriptor[] = [];

  /** @param folder is replaced */
  static async create(folder: string): Promise<OciLayout> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
    await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    return new OciLayout(folder);
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  async add(mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(this.folder, 'blobs/sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.byteLength };
  }

  addJson(mediaType: string, document: object): Promise<Descriptor> {
    return this.add(mediaType, Buffer.from(JSON.stringify(document)));
  }

  read({ digest }: { digest: string }): Promise<Buffer> {
    return readFile(join(this.folder, 'blobs', digest.replace(':', '/')));
  }

  /** Adds an entry of the index of the layout, by a tag if it has one. */
  async list(descriptor: Descriptor, tag?: string): Promise<void> {
    this.#entries.push({
      ...descriptor,
      ...(tag && { annotations: { ...descriptor.annotations, [NAME]: tag } }),
    });
    const index = { schemaVersion: 2, mediaType: INDEX, manifests: this.#entries };
    await writeFile(join(this.folder, 'index.json'), JSON.stringify(index));
  }

  /** Adds a referrer of `subject` (image-spec, "Guidelines for Artifact Usage"). */
  async attach(
    subject: Descriptor,
    { artifactType, mediaType, bytes, annotations }: Attachment,
  ): Promise<Descriptor> {
    const config = await this.add(EMPTY.mediaType, EMPTY.bytes);
    const layer = await this.add(mediaType ?? artifactType, bytes);
    const manifest = await this.addJson(MANIFEST, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      artifactType,
      config,
      layers: [layer],
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
      annotations: { 'org.opencontainers.image.created': CREATED, ...annotations },
    });
    const referrer = { ...manifest, artifactType };
    await this.list(referrer);
    return referrer;
  }

  /** The layout as one file, which skopeo and podman call `oci-archive`. */
  pack(file: string): Promise<void> {
    return packFolder(this.folder, { file });
  }
}

/** Of all that is created: the same content has the same bytes. */
export const CREATED = new Date(FILE_TIME * 1_000).toISOString();
