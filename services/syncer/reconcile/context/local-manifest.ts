import { getManifest } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES, type Manifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import type { FetchedManifest } from '../../link/parent/parent-reader.ts';
import type { PassTools } from './pass-context.ts';

/**
 * Reads a manifest of this layer.
 * @returns undefined if its file is missing: it was deleted, or moved, after storage had located it
 * @throws Fault `manifest-unknown`, …
 */
export async function readLocalManifest(
  { bus, volume }: Pick<PassTools, 'bus' | 'volume'>,
  repository: Repository,
  digest: Digest,
): Promise<(FetchedManifest & { manifest: Manifest }) | undefined> {
  const { path, mediaType, size } = await bus.call(getManifest, { repository, reference: digest });
  await using file = await volume.openBlob({ path });
  if (!file) return undefined;
  const bytes = Buffer.alloc(Math.min(size, MAX_MANIFEST_BYTES));
  await file.read(bytes, 0);
  return { digest, mediaType, bytes, manifest: readManifest(bytes, mediaType) };
}

/**
 * As `readLocalManifest`, for one that may be missing.
 * @returns undefined if the layer does not have it, or can't read it
 */
export async function readManifestIfHere(
  tools: Pick<PassTools, 'bus' | 'volume'>,
  repository: Repository,
  digest: Digest,
): Promise<Manifest | undefined> {
  try {
    return (await readLocalManifest(tools, repository, digest))?.manifest;
  } catch (error) {
    if (Fault.is(error)) return undefined;
    throw error;
  }
}
