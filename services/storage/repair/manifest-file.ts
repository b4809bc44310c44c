import { readFile } from 'node:fs/promises';
import { Fault } from '#proto/fault.ts';
import { type Manifest, mediaTypes, readManifest } from '#proto/oci.ts';
import type { BlobStore } from '../blob-store.ts';

export type Found = { manifest: Manifest; size: number };

/** Reads a blob as a manifest; undefined where it is none, or is not there. */
export async function manifestIn(store: BlobStore, digest: string): Promise<Found | undefined> {
  try {
    const bytes = await readFile(store.file(digest));
    const mediaType = typeOf(JSON.parse(bytes.toString('utf8')));
    return mediaType === undefined
      ? undefined
      : { manifest: readManifest(bytes, mediaType), size: bytes.length };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof SyntaxError || error instanceof Fault || code === 'ENOENT' || code === 'EIO')
      return undefined;
    throw error;
  }
}

/** What it says that it is; OCI lets it leave that out. */
function typeOf(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { mediaType, manifests, layers } = json as Record<string, unknown>;
  if (typeof mediaType === 'string') return mediaType;
  if (manifests !== undefined) return mediaTypes.ociIndex;
  return layers === undefined ? undefined : mediaTypes.ociManifest;
}
