import { createHash } from 'node:crypto';
import { mediaTypes } from '#proto/oci/manifest.ts';
import type { Digest } from '#proto/oci/names.ts';
import { pieces } from '../../test/support/registry/content.ts';
import { pushBlob, pushManifest } from '../../test/support/registry/registry.ts';

const KIB = 1024;
/** Lengths of the runs of content that change together, in bytes. */
const MIN_RUN = 64 * KIB;
const MAX_RUN = 1024 * KIB;
/** Share of the runs that differ between the first version and a later one. */
const CHANGED = 0.05;
/** Added to the header by each version, in bytes: all that follows it moves. */
const HEADER = 137;

/** Weights of a model, which do not compress. Version 1 and a later one differ in their header and in 5 % of it. */
export function* modelOf(size: number, version: number): Generator<Uint8Array> {
  yield Buffer.alloc(HEADER * version, `version ${version} `);
  for (let at = 0, run = 0; at < size; run += 1) {
    const draw = createHash('sha256').update(`run ${run} of version ${version}`).digest();
    const length = createHash('sha256').update(`length ${run}`).digest().readUInt32LE(0);
    const bytes = Math.min(size - at, MIN_RUN + (length % (MAX_RUN - MIN_RUN)));
    const isChanged = version > 1 && draw.readUInt32LE(0) / 2 ** 32 < CHANGED;
    yield* pieces({ seed: `model/${isChanged ? version : 1}/${run}`, size: bytes });
    at += bytes;
  }
}

/** Pushes a model as an image of one layer that is not compressed. @returns the layer; the digest of the manifest */
export async function pushModel(
  host: string,
  repository: string,
  { tag, size, version }: { tag: string; size: number; version: number },
): Promise<{ digest: Digest; size: number; manifest: Digest }> {
  const layer = await pushBlob(host, repository, () => modelOf(size, version));
  const config = await pushBlob(host, repository, Buffer.from(JSON.stringify({ version })));
  const manifest = await pushManifest(host, repository, tag, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { ...config, mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers: [{ ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar' }],
  });
  return { digest: layer.digest, size: layer.size, manifest: manifest.digest };
}
