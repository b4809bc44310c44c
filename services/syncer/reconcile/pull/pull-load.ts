import { batches } from '#proto/async/batches.ts';
import type { ImageContext } from '#proto/content/arriving.ts';
import { linkBlobs, missingBlobs } from '#proto/content/blobs.ts';
import { discardIngest, startUpload } from '#proto/content/ingests.ts';
import {
  type KnownTag,
  type LeftOutManifest,
  MAX_INLINE_MANIFEST_BYTES,
  putManifest,
  putTag,
} from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import { imageFinished, imageStarted } from '#proto/sync/passes.ts';
import type { FetchedManifest } from '../../link/parent/parent-reader.ts';
import { isOfParent, partOf } from '../context/leave-out.ts';
import { bySize, largestOf } from '../context/order.ts';
import type { PassContext } from '../context/pass-context.ts';
import type { DeltaDecision } from '../deltas/image-deltas.ts';
import { type IsLeftOut, leftOutReferrer, planCommits } from './commit-plan.ts';
import { frameBases } from './frame-bases.ts';
import { recordLeftOutReferrers } from './hidden-referrers.ts';
import { imageContexts } from './image-context.ts';
import { blobsOf, type ImageNode } from './image-node.ts';
import { loadMissingTree, type TreeOptions } from './tree.ts';
import type { TreeSelection } from './tree-selection.ts';

/** Content of an image that the layer lacks: manifests in commit order, blobs in transfer order. */
export type Load = {
  root: Digest;
  nodes: ImageNode[];
  /** Manifests whose referrers were looked at. */
  subjects: Digest[];
  /** What the parent does not provide of it. */
  problems: LeftOutItem[];
  /** Blobs of the nodes that the layer lacks. */
  missing: Descriptor[];
  /** Some of the blobs are here already, at least in part. */
  isPartlyHere: boolean;
};

/**
 * `tags`: will point to the image; `similar`: finds manifests here that it may resemble, best ones first; `deltas`:
 * begins to ask for deltas to its missing blobs.
 */
export type Target = { tags: Tag[]; similar: () => readonly Digest[]; deltas: DeltasOf };
type DeltasOf = (
  nodes: readonly ImageNode[],
  missing: readonly Descriptor[],
) => ReadonlyMap<Digest, DeltaDecision>;

export type PulledTag = { tag: Tag; expect: Digest | undefined; known?: KnownTag; loserTag?: Tag };

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
  const { nodes, problems, subjects } = await loadMissingTree(context, repository, digest, wanted, options);
  const blobs = blobsOf(nodes).sort(bySize);
  const missingDigests = await findMissingBlobs(
    context,
    blobs.map((blob) => blob.digest),
  );
  const missing = blobs.filter((blob) => missingDigests.has(blob.digest));
  const isPartlyHere = missing.length < blobs.length || missing.some((blob) => partial.has(blob.digest));
  return { root: digest, nodes, subjects, problems, missing, isPartlyHere };
}

/**
 * Begins to download what the layer lacks of the nodes, while the rest of their image is still being loaded. `pullLoad`
 * waits for the same jobs, and reports what fails.
 */
export async function beginDownloads(
  context: PassContext,
  repository: Repository,
  nodes: readonly ImageNode[],
  target: Target,
): Promise<void> {
  const blobs = blobsOf(nodes).sort(bySize);
  const missing = await findMissingBlobs(
    context,
    blobs.map(({ digest }) => digest),
  );
  const wanted = blobs.filter(({ digest }) => missing.has(digest));
  const hints = await hintsFor(context, repository, { nodes, missing: wanted }, target);
  await downloadBlobs(context, repository, wanted, hints);
}

/**
 * Pulls missing content: blobs (as jobs, executed by any syncer), then manifests, children before parents.
 * @returns what the parent does not provide
 * @throws Fault if the image can't be committed without what failed
 */
export async function pullLoad(
  context: PassContext,
  repository: Repository,
  { root, nodes, problems, missing }: Load,
  target: Target,
): Promise<LeftOutItem[]> {
  const { pass, failedParts, leftOutByParent } = context;
  const hints = await hintsFor(context, repository, { nodes, missing }, target);
  const failed = await downloadBlobs(context, repository, missing, hints);
  const isLeftOut: IsLeftOut = (digest, error) =>
    failedParts.isLeftOut(partOf(repository, digest), error, pass);
  const plan = planCommits(root, nodes, failed, isLeftOut);
  if (plan.failure) throw plan.failure;
  for (const [digest, error] of plan.lostReferrers) leftOutByParent.set(partOf(repository, digest), error);
  await linkForeign(context, repository, nodes, failed);
  const refused: LeftOutItem[] = [];
  for (const node of plan.commits) {
    try {
      await commitManifest(context, repository, node, node.leftOut);
    } catch (error) {
      if (!node.isReferrer || !isOfParent(error)) throw error;
      refused.push(leftOutReferrer(node, error));
    }
  }
  return [...problems, ...plan.problems, ...refused];
}

/** Links the foreign layers that are here. A manifest links its other blobs when it is committed. */
async function linkForeign(
  { bus }: PassContext,
  repository: Repository,
  nodes: ImageNode[],
  failed: ReadonlyMap<Digest, Fault>,
): Promise<void> {
  const foreign = nodes.flatMap(({ manifest }) => manifest.foreign.map(({ digest }) => digest));
  const present = [...new Set(foreign)].filter((digest) => !failed.has(digest));
  for (const digests of batches(present, PAGE)) await bus.call(linkBlobs, { repository, digests });
}

/** What is known of the blobs to download. */
type Hints = {
  contexts: ReadonlyMap<Digest, ImageContext>;
  deltas: ReadonlyMap<Digest, DeltaDecision>;
  /** Layers here that may have frames of it. */
  bases: ReadonlyMap<Digest, Digest[]>;
};

async function hintsFor(
  context: PassContext,
  repository: Repository,
  { nodes, missing }: { nodes: readonly ImageNode[]; missing: readonly Descriptor[] },
  { tags, similar, deltas }: Target,
): Promise<Hints> {
  const hints = { contexts: imageContexts(nodes, tags), deltas: deltas(nodes, missing) };
  // A Terrace has deltas.
  const hasFrames = !context.isBelowTerrace && context.configuration.delta.mode !== 'off';
  const bases = hasFrames
    ? await frameBases(context, repository, nodes, missing, similar)
    : new Map<Digest, Digest[]>();
  return { ...hints, bases };
}

/**
 * Downloads blobs, as jobs.
 * @returns the faults of those that the parent does not provide
 * @throws any other error
 */
async function downloadBlobs(
  context: PassContext,
  repository: Repository,
  missing: Descriptor[],
  hints: Hints,
): Promise<Map<Digest, Fault>> {
  const failed = new Map<Digest, Fault>();
  const results = await Promise.allSettled(
    missing.map((blob) => downloadBlob(context, repository, blob, hints)),
  );
  let other: unknown;
  for (const [at, result] of results.entries()) {
    if (result.status === 'fulfilled') continue;
    const digest = missing[at]?.digest as Digest;
    if (isOfParent(result.reason)) failed.set(digest, result.reason);
    else other ??= result.reason;
  }
  if (other) throw other;
  return failed;
}

/** If the manifest has another size than the parent's blob, the digest decides whether it is the right one. */
async function downloadBlob(
  { transferJobs, behind, parent, log, signal }: PassContext,
  repository: Repository,
  { digest, size }: Descriptor,
  { contexts, deltas, bases }: Hints,
): Promise<void> {
  const imageContext = contexts.get(digest);
  const frames = bases.has(digest) && { bases: bases.get(digest) ?? [] };
  const wanted = {
    ...{ repository, digest, size },
    ...(imageContext && { imageContext }),
    ...(frames && { frames }),
  };
  // No other blob waits for it.
  const delta = await deltas.get(digest);
  try {
    await transferJobs.download({ ...wanted, ...(delta && { delta }) });
    behind.arrived(digest);
  } catch (error) {
    if (!Fault.is(error, ...WRONG_SIZE)) throw error;
    const actual = await parent.blobSize(repository, digest, signal).catch(() => undefined);
    if (actual === undefined || actual === size) throw error;
    log.warn({ repository, digest, size, actual }, 'a manifest has the wrong size of a blob');
    await transferJobs.download({ ...wanted, size: actual });
    behind.arrived(digest);
  }
}

/** Faults of a download whose size is not that of the blob. */
const WRONG_SIZE = ['parent-invalid', 'size-invalid', 'digest-invalid'] as const;

/**
 * Pulls a manifest with its tree, and moves the tag last.
 * @param content pulls the load, or waits for another call that does
 * @param move `expect`, `known`: the tag here when the move was planned; `loserTag`: gets its old target
 * @returns whether anything was pulled or moved, and what the parent does not provide
 * @throws Fault; `conflict` if the tag moved meanwhile: the next pass decides again
 */
export async function pullImage(
  context: PassContext,
  repository: Repository,
  digest: Digest,
  { nodes, subjects, problems, missing }: Load,
  content: () => Promise<LeftOutItem[]>,
  move?: PulledTag,
): Promise<{ isChanged: boolean; problems: LeftOutItem[] }> {
  const { bus, pass } = context;
  if (nodes.length === 0 && !move) {
    await recordLeftOutReferrers(context, repository, subjects, problems);
    return { isChanged: false, problems };
  }
  const about = { pass, repository, tag: move?.tag ?? null, digest, direction: 'down' as const };
  const bytes = missing.reduce((sum, { size }) => sum + size, 0);
  bus.publish(imageStarted, { ...about, blobs: missing.length, bytes, largest: largestOf(missing) });
  const leftOut = await content();
  await recordLeftOutReferrers(context, repository, subjects, leftOut);
  if (move) {
    context.sends.mustHaveNoOther(repository, move.tag);
    await bus.call(putTag, { repository, digest, ...move, expect: move.expect ?? null, base: true });
  }
  bus.publish(imageFinished, about);
  return { isChanged: true, problems: leftOut };
}

async function findMissingBlobs({ bus }: PassContext, digests: Digest[]): Promise<Set<Digest>> {
  const missing = new Set<Digest>();
  for (let at = 0; at < digests.length; at += PAGE) {
    const page = await bus.call(missingBlobs, { digests: digests.slice(at, at + PAGE) });
    for (const digest of page.digests) missing.add(digest);
  }
  return missing;
}

/**
 * Commits a manifest of the parent, and links those of its blobs that are here.
 * @param leftOut its children that are not pulled
 */
export async function commitManifest(
  { bus, volume, by }: PassContext,
  repository: Repository,
  { digest, mediaType, bytes }: FetchedManifest,
  leftOut: LeftOutManifest[] = [],
): Promise<void> {
  const sparse = leftOut.length > 0 && { leftOut };
  const query = { repository, digest, mediaType, arrived: true, link: true, ...sparse };
  if (bytes.byteLength <= MAX_INLINE_MANIFEST_BYTES) {
    await bus.call(putManifest, { ...query, bytes });
    return;
  }
  const claim = await bus.call(startUpload, { repository, by, hold: true, alone: true });
  const ingest = { id: claim.id, claim: claim.claim };
  try {
    {
      await using file = await volume.openIngest(claim);
      await file.write([bytes], 0);
    }
    await bus.call(putManifest, { ...query, ...ingest });
  } catch (error) {
    await bus.call(discardIngest, ingest).catch(() => {});
    throw error;
  }
}
