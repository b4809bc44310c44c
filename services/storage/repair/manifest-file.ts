import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { MAX_MANIFEST_BYTES, type Manifest, mediaTypes } from '#proto/oci/manifest.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { BlobStore } from '../content/blob-store.ts';
import { put } from '../metadata/batch-changes.ts';
import { keys } from '../metadata/keys.ts';
import type { BlobRecord } from '../metadata/records.ts';
import { isReadError, type Read, readFully } from './copy.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import { addLine, type RepairReport } from './repair-report.ts';

export type ManifestFile = { manifest: Manifest; size: number };
export type Sources = { records: RebuiltRecords; store: BlobStore; report: RepairReport; read: Read };

/** Reads a blob as a manifest; undefined if the blob is missing or not a manifest. */
export async function manifestIn(sources: Sources, digest: string): Promise<ManifestFile | undefined> {
  const bytes = await manifestBytes(sources, digest);
  if (!bytes) return undefined;
  try {
    const mediaType = typeOf(JSON.parse(bytes.toString('utf8')));
    return mediaType === undefined
      ? undefined
      : { manifest: readManifest(bytes, mediaType), size: bytes.length };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof Fault) return undefined;
    throw error;
  }
}

/**
 * Reads the bytes of a blob that may be a manifest. If they don't match the digest or can't be read, the content is
 * recorded as damaged.
 */
export async function manifestBytes(
  { records, store, report, read }: Sources,
  digest: string,
): Promise<Buffer | undefined> {
  const blob = await records.get<BlobRecord>(keys.blob(digest));
  if (!blob || blob.size > MAX_MANIFEST_BYTES) return undefined;
  const bytes = await contentOf(store.file(digest), blob.size, read);
  if (bytes && hashOf(bytes, digest) === digest) return bytes;
  await records.write(put.damaged(digest, { size: blob.size, since: Date.now() }));
  addLine(
    report.lost,
    `content ${digest}, ${formatBytes(blob.size)}, whose file is damaged: until the parent or a client supplies it again`,
  );
  return undefined;
}

async function contentOf(path: string, size: number, read: Read): Promise<Buffer | undefined> {
  try {
    await using file = await open(path, 'r');
    const bytes = Buffer.alloc(size);
    return bytes.subarray(0, await readFully(file, bytes, 0, read));
  } catch (error) {
    if (isReadError(error) || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function hashOf(bytes: Uint8Array, digest: string): string {
  const [algorithm] = splitDigest(digest);
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** The media type of a manifest; derived from its fields if it has none, as OCI allows. */
function typeOf(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { mediaType, manifests, layers } = json as Record<string, unknown>;
  if (typeof mediaType === 'string') return mediaType;
  if (manifests !== undefined) return mediaTypes.ociIndex;
  return layers === undefined ? undefined : mediaTypes.ociManifest;
}
