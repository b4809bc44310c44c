import type { Metadata } from '../metadata/metadata.ts';

/** Blobs whose sizes are read at a time. */
const BATCH = 1_000;

/** Bytes of the content that a repository names, and when a tag of it last moved, if that is recorded. */
export async function contentsOf(
  metadata: Pick<
    Metadata,
    'linksOfRepository' | 'blobsByDigest' | 'manifestsOfRepository' | 'tagOriginsOfRepository'
  >,
  repository: string,
): Promise<{ bytes: number; changed?: number }> {
  let bytes = 0;
  for await (const [, { size }] of metadata.manifestsOfRepository(repository)) bytes += size;
  let digests: string[] = [];
  const addBlobs = async () => {
    for (const record of await metadata.blobsByDigest(digests)) bytes += record?.size ?? 0;
    digests = [];
  };
  for await (const [digest] of metadata.linksOfRepository(repository))
    if (digests.push(digest) === BATCH) await addBlobs();
  await addBlobs();
  let changed: number | undefined;
  for await (const [, { since }] of metadata.tagOriginsOfRepository(repository))
    if (changed === undefined || since > changed) changed = since;
  return { bytes, ...(changed !== undefined && { changed }) };
}
