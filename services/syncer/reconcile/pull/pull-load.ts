import { linkBlobs, missingBlobs } from '#proto/content/blobs.ts';
import { discardIngest, startUpload } from '#proto/content/ingests.ts';
import { type LeftOutManifest, putManifest, putTag } from '#proto/content/manifests.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { imageFinished, imageStarted } from '#proto/sync/passes.ts';
import type { FetchedManifest } from '../../link/parent/parent-registry.ts';
import { bySize } from '../context/order.ts';
import type { PassContext } from '../context/pass-context.ts';
import { imageContexts } from './image-context.ts';
import { blobsOf, type ImageNode, loadMissingTree, type TreeOptions, type TreeSelection } from './tree.ts';

/** Content of an image that the layer lacks: manifests in commit order, blobs in transfer order. */
export type Load = {
  nodes: ImageNode[];
  /** All blobs of the nodes; `missing`: those that the layer lacks. */
  blobs: Descriptor[];
  missing: Descriptor[];
  /** Some of the blobs are here already, at least in part. */
  isPartlyHere: boolean;
};

export type PulledTag = { tag: Tag; expect: Digest | undefined };

/** Max digests per request to storage. */
const PAGE = 1_000;

/** @param partial blobs of which an earlier transfer has left a part */
export async function loadImage(
  context: PassContext,
  repository: Repository,
  digest: Digest,
  wanted: TreeSelection,
  partial: ReadonlySet<Digest>,
  options: TreeOptions = {},
): Promise<Load> {
  const nodes = await loadMissingTree(context, repository, digest, wanted, options);
  const blobs = blobsOf(nodes).sort(bySize);
  const missingDigests = await findMissingBlobs(
    context,
    blobs.map((blob) => blob.digest),
  );
  const missing = blobs.filter((blob) => missingDigests.has(blob.digest));
  const isPartlyHere = missing.length < blobs.length || missing.some((blob) => partial.has(blob.digest));
  return { nodes, blobs, missing, isPartlyHere };
}

/**
 * Pulls missing content: blobs (as jobs, executed by any syncer), then manifests, children before parents.
 * @param tags tags that will point to the image
 * @throws Fault
 */
export async function pullLoad(
  context: PassContext,
  repository: Repository,
  { nodes, blobs, missing }: Load,
  tags: Tag[],
): Promise<void> {
  const { bus, transferJobs } = context;
  const contexts = imageContexts(nodes, tags);
  const results = await Promise.allSettled(
    missing.map(({ digest, size }) => {
      const imageContext = contexts.get(digest);
      return transferJobs.download({ repository, digest, size, ...(imageContext && { imageContext }) });
    }),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
  for (let at = 0; at < blobs.length; at += PAGE) {
    const digests = blobs.slice(at, at + PAGE).map((blob) => blob.digest);
    await bus.call(linkBlobs, { repository, digests });
  }
  for (const node of nodes) await commitManifest(context, repository, node, node.leftOut);
}

/**
 * Pulls a manifest with its tree, and moves the tag last.
 * @param content pulls the load, or waits for another call that does
 * @param move `expect`: target of the tag when the move was planned
 * @returns whether anything was pulled or moved
 * @throws Fault; `conflict` if the tag moved meanwhile: the next pass decides again
 */
export async function pullImage(
  { bus, pass }: PassContext,
  repository: Repository,
  digest: Digest,
  { nodes, missing }: Load,
  content: () => Promise<void>,
  move?: PulledTag,
): Promise<boolean> {
  if (nodes.length === 0 && !move) return false;
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

async function findMissingBlobs({ bus }: PassContext, digests: Digest[]): Promise<Set<Digest>> {
  const missing = new Set<Digest>();
  for (let at = 0; at < digests.length; at += PAGE) {
    const page = await bus.call(missingBlobs, { digests: digests.slice(at, at + PAGE) });
    for (const digest of page.digests) missing.add(digest);
  }
  return missing;
}

/** Commits a manifest of the parent, without a tag. @param leftOut its children that are not pulled */
export async function commitManifest(
  { bus, volume, by }: PassContext,
  repository: Repository,
  { digest, mediaType, bytes }: FetchedManifest,
  leftOut: LeftOutManifest[] = [],
): Promise<void> {
  const claim = await bus.call(startUpload, { repository, by, hold: true });
  const ingest = { id: claim.id, claim: claim.claim };
  try {
    {
      await using file = await volume.openIngest(claim);
      await file.write([bytes], 0);
    }
    const sparse = leftOut.length > 0 && { leftOut };
    await bus.call(putManifest, { ...ingest, repository, digest, mediaType, arrived: true, ...sparse });
  } catch (error) {
    await bus.call(discardIngest, ingest).catch(() => {});
    throw error;
  }
}
