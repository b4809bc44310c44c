import { linkBlobs, missingBlobs } from '#proto/blobs.ts';
import { discardIngest, startUpload } from '#proto/ingests.ts';
import { putManifest, putTag } from '#proto/manifests.ts';
import type { Digest, Repository, Tag } from '#proto/names.ts';
import { imageFinished, imageStarted } from '#proto/passes.ts';
import type { FetchedManifest } from '../link/parent.ts';
import type { Arrivals } from './arrivals.ts';
import { blobsOf, missingTree, type TreeMeans } from './tree.ts';

export type BringMeans = TreeMeans & { arrivals: Arrivals; pass: string; by: string };

/** Digests in one request to storage. */
const PAGE = 1_000;

/**
 * Brings all that hangs on a manifest, and moves the tag last: blobs (as jobs, by whichever syncer), then manifests,
 * children before parents. `expect` is what the tag pointed to when it was decided to move it.
 * @returns whether anything was brought or moved
 * @throws Fault; `conflict` where the tag moved meanwhile: the next pass decides again
 */
export async function bring(
  means: BringMeans,
  repository: Repository,
  digest: Digest,
  move?: { tag: Tag; expect: Digest | undefined },
): Promise<boolean> {
  const { bus, pass, arrivals } = means;
  const about = { pass, repository, tag: move?.tag ?? null, digest };
  const branches = await missingTree(means, repository, digest);
  if (branches.length === 0 && !move) return false;
  const blobs = blobsOf(branches);
  const missing = await lacking(
    means,
    blobs.map((blob) => blob.digest),
  );
  const wanted = blobs.filter((blob) => missing.has(blob.digest));
  const bytes = wanted.reduce((sum, { size }) => sum + size, 0);
  bus.publish(imageStarted, { ...about, direction: 'down', blobs: wanted.length, bytes });
  const results = await Promise.allSettled(
    wanted.map((blob) => arrivals.bring({ repository, digest: blob.digest, size: blob.size })),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
  for (let at = 0; at < blobs.length; at += PAGE) {
    const digests = blobs.slice(at, at + PAGE).map((blob) => blob.digest);
    await bus.call(linkBlobs, { repository, digests });
  }
  for (const branch of branches) await commitManifest(means, repository, branch);
  if (move) {
    const { tag, expect } = move;
    await bus.call(putTag, { repository, tag, digest, expect: expect ?? null, base: true });
  }
  bus.publish(imageFinished, { ...about, direction: 'down' });
  return true;
}

async function lacking({ bus }: BringMeans, digests: Digest[]): Promise<Set<Digest>> {
  const missing = new Set<Digest>();
  for (let at = 0; at < digests.length; at += PAGE) {
    const found = await bus.call(missingBlobs, { digests: digests.slice(at, at + PAGE) });
    for (const digest of found.digests) missing.add(digest);
  }
  return missing;
}

/** Commits the bytes of a manifest, without a tag. */
export async function commitManifest(
  { bus, volume, by }: BringMeans,
  repository: Repository,
  branch: FetchedManifest,
): Promise<void> {
  const { digest, mediaType, bytes } = branch;
  const claim = await bus.call(startUpload, { repository, by, hold: true });
  const held = { id: claim.id, claim: claim.claim };
  try {
    {
      await using file = await volume.openIngest(claim);
      await file.write([bytes], 0);
    }
    await bus.call(putManifest, { ...held, repository, digest, mediaType });
  } catch (error) {
    await bus.call(discardIngest, held).catch(() => {});
    throw error;
  }
}
