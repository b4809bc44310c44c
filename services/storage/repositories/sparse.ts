import { type LeftOutManifest, MAX_PLATFORM } from '#proto/content/manifests.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isManifestType, type Manifest, mediaTypes } from '#proto/oci/manifest.ts';
import { type Change, drop, type Metadata, put } from '../metadata/metadata.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import { type ListQuery, page } from '../metadata/page.ts';
import type { LeftOutRecord } from '../metadata/records.ts';

/**
 * Sparse indexes: some of their manifests are not pulled, and are recorded as left out until they arrive. Functions
 * that return changes are for callers that hold the repository's lock.
 */

/**
 * Checks that blobs are linked in the repository (with `link`, that they are here, and links them), that the manifests
 * of an index are in it, and that none of them is damaged. A subject need not exist, nor a manifest in `leftOut`, nor
 * one that this index left out at its last put.
 * @returns new links, and changes of the left-out records, for the batch that puts the manifest
 * @throws Fault `manifest-blob-unknown`
 */
export async function childrenMustBeHere(
  metadata: Metadata,
  repository: string,
  index: string,
  { mediaType: ownType, blobs, manifests }: Manifest,
  { leftOut = [], link = false }: { leftOut?: LeftOutManifest[] | undefined; link?: boolean | undefined },
): Promise<Change[]> {
  const children = [...blobs, ...manifests];
  const digests = children.map(({ digest }) => digest);
  const [links, records, present, before] = await Promise.all([
    metadata.linksByDigest(repository, digests),
    metadata.manifestsByDigest(repository, digests),
    metadata.blobsByDigest(digests),
    metadata.leftOutByDigest(repository, digests, index),
  ]);
  const requested = new Map(leftOut.map((one) => [one.digest, recordOf(one)]));
  return children.flatMap(({ digest, mediaType }, i) => {
    const asManifest = isIndex(ownType);
    // An index may also list descriptors of other media types: those are blobs.
    const asBlob = !asManifest || !isManifestType(mediaType);
    const isLinked = asBlob && (links[i] !== undefined || link);
    if (present[i] && (isLinked || (asManifest && records[i]))) {
      return [
        ...(asBlob && !links[i] && link ? put.link(repository, digest) : []),
        ...(before[i] === undefined ? [] : drop.leftOut(repository, digest, index)),
      ];
    }
    const record = requested.get(digest) ?? before[i];
    if (asManifest && record !== undefined) return put.leftOut(repository, digest, index, record);
    throw new Fault(
      'manifest-blob-unknown',
      `repository ${repository} has no ${asBlob ? 'blob' : 'manifest'} ${digest}, which the manifest refers to: push it first`,
      { detail: { digest } },
    );
  });
}

/** For the batch that puts a manifest: no index leaves it out any longer. */
export async function onManifestPut(
  metadata: Metadata,
  repository: string,
  digest: string,
): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const [index] of metadata.leftOutOfManifest(repository, digest)) {
    changes.push(...drop.leftOut(repository, digest, index));
  }
  return changes;
}

export const isIndex = (mediaType: string): boolean =>
  mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList;

/** For the batch that deletes an index: it leaves nothing out any longer. */
export async function onIndexDeleted(
  metadata: Metadata,
  repository: string,
  index: string,
): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const [key] of metadata.leftOutOfRepository(repository)) {
    const [digest, owner] = key.split('!') as [string, string];
    if (owner === index) changes.push(...drop.leftOut(repository, digest, owner));
  }
  return changes;
}

/** How an index leaves the manifest out; undefined if none does. */
export async function leftOutEntry(
  metadata: MetadataReader,
  repository: string,
  digest: string,
): Promise<LeftOutManifest | undefined> {
  for await (const [, record] of metadata.leftOutOfManifest(repository, digest))
    return entryOf(digest, record);
  return undefined;
}

const recordOf = ({ platform, unavailable }: LeftOutManifest): LeftOutRecord =>
  unavailable ? { platform, unavailable } : platform;

function entryOf(digest: string, record: LeftOutRecord): LeftOutManifest {
  const fields = typeof record === 'string' ? { platform: record } : record;
  return { ...fields, digest, platform: clip(fields.platform, MAX_PLATFORM) };
}

const sizeOf = ([key, record]: [string, LeftOutRecord]): number =>
  key.length + (typeof record === 'string' ? record : record.platform).length;

export async function leftOutPage(
  metadata: MetadataReader,
  repository: string,
  { after, limit }: ListQuery,
): Promise<{ leftOut: (LeftOutManifest & { index: string })[]; more: boolean }> {
  const [entries, more] = await page(metadata.leftOutOfRepository(repository, after), limit, sizeOf);
  const leftOut = entries.map(([key, record]) => {
    const [digest, index] = key.split('!') as [string, string];
    return { ...entryOf(digest, record), index };
  });
  return { leftOut, more };
}
