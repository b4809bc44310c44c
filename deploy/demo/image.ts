import { createCipheriv, createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { mediaTypes } from '#proto/oci/manifest.ts';

/** A small image that any container client can pull and unpack: each layer has one file. */

export type Blob = { mediaType: string; digest: string; size: number; bytes: Buffer };
export type Image = { config: Blob; layers: Blob[]; manifest: Blob };
/** A file of a layer: its name, and the size of its content, which follows from the name. */
export type LayerFile = { name: string; bytes: number };

const TAR_BLOCK = 512;

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const blobOf = (mediaType: string, bytes: Buffer): Blob => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
  bytes,
});

export function imageOf(files: LayerFile[]): Image {
  const tars = files.map(tarOf);
  const config = {
    os: 'linux',
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    config: {},
    rootfs: { type: 'layers', diff_ids: tars.map(digestOf) },
  };
  const image = {
    config: blobOf('application/vnd.oci.image.config.v1+json', Buffer.from(JSON.stringify(config))),
    layers: tars.map((tar) =>
      blobOf('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar, { level: 1 })),
    ),
  };
  const descriptor = ({ bytes: _bytes, ...rest }: Blob) => rest;
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: descriptor(image.config),
    layers: image.layers.map(descriptor),
  };
  return { ...image, manifest: blobOf(mediaTypes.ociManifest, Buffer.from(JSON.stringify(manifest))) };
}

/** Bytes of its layers and its configuration. */
export const sizeOf = ({ config, layers }: Image): number =>
  layers.reduce((sum, { size }) => sum + size, config.size);

/** A tar archive (POSIX ustar) with this one file. */
function tarOf({ name, bytes }: LayerFile): Buffer {
  const header = Buffer.alloc(TAR_BLOCK);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;
  header.write(`terrace-demo/${name}`, 0);
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(bytes, 11), 124);
  header.write(octal(0, 11), 136);
  header.write(' '.repeat(8), 148);
  header.write('0', 156);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  // Noise, which gzip can't make smaller.
  const key = createHash('sha256').update(`${name} ${bytes}`).digest();
  const noise = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
  const end = Buffer.alloc(2 * TAR_BLOCK + ((TAR_BLOCK - (bytes % TAR_BLOCK)) % TAR_BLOCK));
  return Buffer.concat([header, noise, end]);
}
