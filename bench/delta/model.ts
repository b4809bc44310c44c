import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { mediaTypes } from '#proto/oci/manifest.ts';
import type { Digest } from '#proto/oci/names.ts';
import { type Content, pieces } from '../../test/support/registry/content.ts';
import { pushBlob, pushManifest } from '../../test/support/registry/registry.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Lengths of the runs of content that change together, in bytes. */
const MIN_RUN = 64 * KIB;
const MAX_RUN = 1024 * KIB;
/** Share of the runs that differ between the first version and a later one. */
const CHANGED = 0.05;
/** Added to the header by each version, in bytes: all that follows it moves. */
const HEADER = 137;

export type Run = Content & { index: number };

/** Runs of content. Version 1 and a later one differ in the first of them, which is a header, and in 5 % of them. */
export function* runsOf(size: number, version: number): Generator<Run> {
  yield { seed: `header ${version}`, size: HEADER * version, index: 0 };
  for (let at = 0, index = 0; at < size; index += 1) {
    const draw = createHash('sha256').update(`run ${index} of version ${version}`).digest();
    const length = createHash('sha256').update(`length ${index}`).digest().readUInt32LE(0);
    const bytes = Math.min(size - at, MIN_RUN + (length % (MAX_RUN - MIN_RUN)));
    const isChanged = version > 1 && draw.readUInt32LE(0) / 2 ** 32 < CHANGED;
    yield { seed: `model/${isChanged ? version : 1}/${index}`, size: Math.floor(bytes), index };
    at += bytes;
  }
}

/** Weights of a model, which do not compress. */
export function* modelOf(size: number, version: number): Generator<Uint8Array> {
  for (const run of runsOf(size, version)) yield* pieces(run);
}

/** Bytes of a file. */
export function* bytesOfFile(path: string): Generator<Uint8Array> {
  const file = openSync(path, 'r');
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(MIB);
      const read = readSync(file, piece);
      if (read === 0) return;
      yield piece.subarray(0, read);
    }
  } finally {
    closeSync(file);
  }
}

/** Pushes a model as an image of one layer that is not compressed. @returns the layer; the digest of the manifest */
export const pushModel = (
  host: string,
  repository: string,
  { tag, size, version }: { tag: string; size: number; version: number },
): Promise<PushedLayer> => pushLayer(host, repository, tag, () => modelOf(size, version));

type PushedLayer = { digest: Digest; size: number; manifest: Digest };

/** Pushes an image of one layer. @param suffix of its media type, such as `+gzip` */
export async function pushLayer(
  host: string,
  repository: string,
  tag: string,
  content: () => Generator<Uint8Array>,
  suffix = '',
): Promise<PushedLayer> {
  const layer = await pushBlob(host, repository, content);
  const config = await pushBlob(host, repository, Buffer.from(JSON.stringify({ tag })));
  const manifest = await pushManifest(host, repository, tag, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { ...config, mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers: [{ ...layer, mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}` }],
  });
  return { digest: layer.digest, size: layer.size, manifest: manifest.digest };
}
