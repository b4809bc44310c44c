import { linkBlobs, missingBlobs } from '#proto/content/blobs.ts';
import { discardIngest, startUpload } from '#proto/content/ingests.ts';
import { type LeftOut, putManifest, putTag } from '#proto/content/manifests.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { imageFinished, imageStarted } from '#proto/sync/passes.ts';
import type { FetchedManifest } from '../../link/parent/parent.ts';
import { bySize } from '../context/order.ts';
import type { PassContext } from '../context/pass-context.ts';
import { partsOf } from './parts.ts';
import { type Branch, blobsOf, missingTree, type TreeOptions, type Wanted } from './tree.ts';

/** What the layer lacks of an image: manifests in the order of their commit, blobs in that of their transfer. */
export type Load = {
  branches: Branch[];
  blobs: Descriptor[];
  missing: Descriptor[];
  /** Some of it is here already. */
  begun: boolean;
};

export type Move = { tag: Tag; expect: Digest | undefined };

/** Digests in one request to storage. */
const PAGE = 1_000;

/** @param underWay blobs that earlier attempts have begun */
export async function loadOf(
  context: PassContext,
  repository: Repository,
  digest: Digest,
  wanted: Wanted,
  underWay: ReadonlySet<Digest>,
  options: TreeOptions = {},
): Promise<Load> {
  const branches = await missingTree(context, repository, digest, wanted, options);
  const blobs = blobsOf(branches).sort(bySize);
  const lacks = await lacking(
    context,
    blobs.map((blob) => blob.digest),
  );
  const missing = blobs.filter((blob) => lacks.has(blob.digest));
  const begun = missing.length < blobs.length || missing.some((blob) => underWay.has(blob.digest));
  return { branches, blobs, missing, begun };
}

/**
 * Brings what is lacking: blobs (as jobs, by whichever syncer), then manifests, children before parents.
 * @param tags that are to point to it
 * @throws Fault
 */
export async function bringLoad(
  context: PassContext,
  repository: Repository,
  { branches, blobs, missing }: Load,
  tags: Tag[],
): Promise<void> {
  const { bus, arrivals } = context;
  const parts = partsOf(branches, tags);
  const results = await Promise.allSettled(
    missing.map(({ digest, size }) => {
      const part = parts.get(digest);
      return arrivals.bring({ repository, digest, size, ...(part && { part }) });
    }),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
  for (let at = 0; at < blobs.length; at += PAGE) {
    const digests = blobs.slice(at, at + PAGE).map((blob) => blob.digest);
    await bus.call(linkBlobs, { repository, digests });
  }
  for (const branch of branches) await commitManifest(context, repository, branch, branch.leftOut);
}

/**
 * Brings all that hangs on a manifest, and moves the tag last. `expect` is what the tag pointed to when it was decided
 * to move it. `content` brings the load, or waits for somebody who does.
 * @returns whether anything was brought or moved
 * @throws Fault; `conflict` where the tag moved meanwhile: the next pass decides again
 */
export async function bring(
  { bus, pass }: PassContext,
  repository: Repository,
  digest: Digest,
  { branches, missing }: Load,
  content: () => Promise<void>,
  move?: Move,
): Promise<boolean> {
  if (branches.length === 0 && !move) return false;
  const about = { pass, repository, tag: move?.tag ?? null, digest, direction: 'down' as const };
  const bytes = missing.reduce((sum, { size }) => sum + size, 0);
  bus.publish(imageStarted, { ...about, blobs: missing.length, bytes });
  await content();
  if (move) {
    const { tag, expect } = move;
    await bus.call(putTag, { repository, tag, digest, expect: expect ?? null, base: true });
  }
  bus.publish(imageFinished, about);
  return true;
}

async function lacking({ bus }: PassContext, digests: Digest[]): Promise<Set<Digest>> {
  const missing = new Set<Digest>();
  for (let at = 0; at < digests.length; at += PAGE) {
    const found = await bus.call(missingBlobs, { digests: digests.slice(at, at + PAGE) });
    for (const digest of found.digests) missing.add(digest);
  }
  return missing;
}

/** Commits the bytes of a manifest of the parent, without a tag. */
export async function commitManifest(
  { bus, volume, by }: PassContext,
  repository: Repository,
  { digest, mediaType, bytes }: FetchedManifest,
  leftOut: LeftOut[] = [],
): Promise<void> {
  const claim = await bus.call(startUpload, { repository, by, hold: true });
  const held = { id: claim.id, claim: claim.claim };
  try {
    {
      await using file = await volume.openIngest(claim);
      await file.write([bytes], 0);
    }
    const sparse = leftOut.length > 0 && { leftOut };
    await bus.call(putManifest, { ...held, repository, digest, mediaType, arrived: true, ...sparse });
  } catch (error) {
    await bus.call(discardIngest, held).catch(() => {});
    throw error;
  }
}
