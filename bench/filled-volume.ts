import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { blobPath, METADATA } from '#proto/volume/layout.ts';
import { type Change, Metadata, put } from '../services/storage/metadata/metadata.ts';

/** Images per batch. */
const BATCH = 500;
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const TAGS_PER_REPOSITORY = 100;

export type Filling = {
  /** Number of images, each with a tag and with layers of its own. */
  images: number;
  layers: number;
  /** Write the files of configs and layers as well. Otherwise only those of manifests: nothing else may be read. */
  allFiles?: boolean;
};

/** Fills the data volume of a stopped layer with small images: records as storage writes them, and unsynced files. */
export async function fillVolume(data: string, { images, layers, allFiles = false }: Filling): Promise<void> {
  await using metadata = await Metadata.open(join(data, METADATA));
  await makeFolders(data);
  for (let from = 0; from < images; from += BATCH) {
    const changes: Change[] = [];
    for (let image = from; image < Math.min(images, from + BATCH); image += 1) {
      const { repository, tag, manifest, blobs } = imageOf(image, layers);
      for (const { digest, bytes } of blobs) {
        changes.push(...put.blob(digest, { size: bytes.length }), ...put.link(repository, digest));
        if (allFiles) await writeBlob(data, digest, bytes);
      }
      const { digest, bytes } = manifest;
      const size = bytes.length;
      await writeBlob(data, digest, bytes);
      changes.push(
        ...put.blob(digest, { size }),
        ...put.manifest(repository, digest, { mediaType: mediaTypes.ociManifest, size }),
        ...put.tag(repository, tag, digest),
      );
    }
    await metadata.write(changes);
  }
}

type Named = { digest: string; bytes: Buffer };

/** The image of this number: the same in each call. */
function imageOf(image: number, layers: number) {
  const blobs = Array.from({ length: layers + 1 }, (_, n) => named(`blob ${n} of image ${image}\n`));
  const [config, ...rest] = blobs.map(({ digest, bytes }, n) => ({
    mediaType: n === 0 ? CONFIG : LAYER,
    digest,
    size: bytes.length,
  }));
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: rest };
  const repository = `scale/${Math.floor(image / TAGS_PER_REPOSITORY)}`;
  return { repository, tag: `tag-${image}`, manifest: named(JSON.stringify(manifest)), blobs };
}

function named(text: string): Named {
  const bytes = Buffer.from(text);
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes };
}

const fileOf = (data: string, digest: string) => join(data, blobPath(...splitDigest(digest)));

async function makeFolders(data: string): Promise<void> {
  for (let first = 0; first < 256; first += 1) {
    const digest = `sha256:${first.toString(16).padStart(2, '0').padEnd(64, '0')}`;
    await mkdir(dirname(fileOf(data, digest)), { recursive: true });
  }
}

const writeBlob = (data: string, digest: string, bytes: Buffer) =>
  writeFile(fileOf(data, digest), bytes, { mode: 0o444 });
