import { each } from '#proto/async/each.ts';
import { locateBlob } from '#proto/content/blobs.ts';
import type { KnownTag } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Descriptor, Manifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { imageFinished, imageStarted } from '#proto/sync/passes.ts';
import type { FetchedManifest } from '../../link/parent/parent-reader.ts';
import { readLocalManifest } from '../context/local-manifest.ts';
import { largestOf } from '../context/order.ts';
import type { PassContext } from '../context/pass-context.ts';
import { MAX_TREE_DEPTH, TreeBudget, type TreeLimits } from '../context/tree-budget.ts';
import { settleSent } from '../context/unsent-changes.ts';
import { layersOf, platformsOf } from '../deltas/image-layers.ts';
import type { ImageToPush } from '../deltas/push-deltas.ts';
import { beginSends, dropIfDenied, recordSent } from './begin-sends.ts';
import { noteReferrer } from './referrers-tag.ts';
import { decideDeltas, uploadBlobs, uploadsOf } from './upload-blobs.ts';

/** A manifest that the parent lacks. Its bytes are read when it is pushed, so that trees are not held in memory. */
type PushNode = {
  digest: Digest;
  blobs: Descriptor[];
  /** Of an image, in its order. */
  layers: Digest[];
  /** Of the manifests of an index. */
  platforms: ReadonlyMap<Digest, string>;
};
/** `similar`: manifests here that the tree may resemble, best ones first. */
export type PushOptions = { limits?: TreeLimits; similar?: () => readonly Digest[] };

/** `expect`: target at the parent. `prepare` runs right before the tag is moved. */
type TagMove = {
  tag: Tag;
  expect: Digest | undefined;
  base: Digest | undefined;
  known: KnownTag;
  prepare?: () => Promise<void>;
};

/** Max requests to the parent in parallel. */
const MAX_PARALLEL = 8;

/**
 * Pushes what the parent lacks of a manifest: blobs (as jobs, executed by any syncer), then manifests, children before
 * parents; last, it moves the tag, if that still has the expected target. Below a manifest that the parent has, nothing
 * is checked: a registry accepts a manifest only with all that it refers to.
 * @returns whether anything was pushed or moved
 * @throws Fault; `conflict` if the tag moved at the parent, `parent-refused` with `detail.status`
 */
export async function pushTree(
  context: PassContext,
  repository: Repository,
  digest: Digest,
  move?: TagMove,
  { limits, similar }: PushOptions = {},
): Promise<boolean> {
  const { bus, pass } = context;
  const about = { pass, repository, tag: move?.tag ?? null, digest };
  const { nodes, present } = await findMissing(context, repository, digest, limits);
  // The target of a tag stays unsent until the base is recorded: it shows the next pass that this layer moved the tag.
  const isTarget = (one: Digest) => move !== undefined && one === digest;
  // Only unsent manifests: a child that the layer leaves out exists there, too, and must not count as deleted here.
  const unsent = present.filter((one) => context.unsentChanges.isUnsent(repository, one));
  await restoreReferrers(context, repository, unsent);
  await settleSent(
    bus,
    repository,
    unsent.filter((one) => !isTarget(one)),
  );
  if (nodes.length === 0 && !move) return false;
  const blobs = blobsOf(nodes);
  const missing = await findBlobsMissingAtParent(context, repository, blobs);
  const bytes = missing.reduce((sum, { size }) => sum + size, 0);
  const largest = largestOf(missing);
  bus.publish(imageStarted, { ...about, direction: 'up', blobs: missing.length, bytes, largest });
  const wanted = await uploadsOf(context, repository, missing);
  const deltas = similar && decideDeltas(context, wanted, { repository, images: imagesOf(nodes), similar });
  await uploadBlobs(context, wanted, deltas);
  const sent = move && { tag: move.tag, base: move.base ?? null, digest, known: move.known };
  using _ = await beginSends(context, repository, {
    digests: nodes.map((node) => node.digest),
    ...(sent && { move: sent }),
  });
  try {
    for (const node of nodes) {
      await put(context, repository, await readNode(context, repository, node.digest));
      if (!isTarget(node.digest)) await settleSent(bus, repository, [node.digest]);
    }
    if (move) {
      await move.prepare?.();
      await moveTag(context, repository, digest, move);
    }
  } catch (error) {
    if (sent) await dropIfDenied(context, repository, sent, (current) => current === digest, error);
    throw error;
  }
  if (sent) {
    await recordSent(context, repository, sent);
    await settleSent(bus, repository, [digest]);
  }
  bus.publish(imageFinished, { ...about, direction: 'up' });
  return true;
}

/** Manifests that the parent lacks, in the order in which it accepts them, and those that it has (`present`). */
async function findMissing(
  context: PassContext,
  repository: Repository,
  root: Digest,
  limits: TreeLimits | undefined,
): Promise<{ nodes: PushNode[]; present: Digest[] }> {
  const nodes: PushNode[] = [];
  const present: Digest[] = [];
  const seen = new Set<Digest>();
  const budget = new TreeBudget(`${root} of ${repository}`, limits);
  const visit = async (digest: Digest, depth: number): Promise<void> => {
    if (depth > MAX_TREE_DEPTH)
      throw new Fault('manifest-invalid', `${root} of ${repository} is nested too deeply`);
    context.signal.throwIfAborted();
    const node = await readNode(context, repository, digest).catch((error) => {
      // Left out of a sparse index: the parent decides whether it accepts the index without it.
      if (depth > 0 && Fault.is(error, 'manifest-unknown') && error.detail?.leftOut) return undefined;
      throw error;
    });
    if (!node) return;
    const { manifests, foreign } = node.manifest;
    const blobs = [...node.manifest.blobs, ...(await findPresent(context, repository, foreign))];
    budget.visit();
    budget.fetched(0, blobs.length);
    for (const child of await filterMissing(manifests)) await visit(child, depth + 1);
    nodes.push({
      digest,
      blobs: blobs.map(({ digest, size }) => ({ mediaType: '', digest, size })),
      layers: layersOf(node.manifest),
      platforms: platformsOf([node.manifest]),
    });
  };
  /** Returns those that the parent lacks. Each manifest is checked once. */
  const filterMissing = async (manifests: { digest: Digest }[]): Promise<Digest[]> => {
    const fresh = [...new Set(manifests.map(({ digest }) => digest))].filter((digest) => !seen.has(digest));
    for (const digest of fresh) seen.add(digest);
    const missing = new Set<Digest>();
    await each(fresh, MAX_PARALLEL, async (digest) => {
      if (await context.pushClient.hasManifest(repository, digest, context.signal)) present.push(digest);
      else missing.add(digest);
    });
    return fresh.filter((digest) => missing.has(digest));
  };
  for (const digest of await filterMissing([{ digest: root }])) await visit(digest, 0);
  return { nodes, present };
}

/** Foreign layers that this layer has: clients may have pushed them, as the parent may lack access to their URLs. */
async function findPresent(
  { bus }: PassContext,
  repository: Repository,
  foreign: Descriptor[],
): Promise<Descriptor[]> {
  const present: Descriptor[] = [];
  for (const layer of foreign) {
    const place = await bus.call(locateBlob, { repository, digest: layer.digest }).catch((error) => {
      if (Fault.is(error, 'blob-unknown')) return undefined;
      throw error;
    });
    if (place) present.push({ ...layer, size: place.size });
  }
  return present;
}

async function readNode(
  context: PassContext,
  repository: Repository,
  digest: Digest,
): Promise<FetchedManifest & { manifest: Manifest }> {
  for (let attempt = 1; ; attempt += 1) {
    const node = await readLocalManifest(context, repository, digest);
    if (node) return node;
    if (attempt === 3) throw new Fault('manifest-unknown', `${digest} of ${repository} can't be found here`);
  }
}

/** Layers of the images among the nodes. */
function imagesOf(nodes: PushNode[]): ImageToPush[] {
  const platforms = new Map(nodes.flatMap((node) => [...node.platforms]));
  return nodes.map(({ digest, layers }) => ({ layers, platform: platforms.get(digest) ?? '' }));
}

/** Blobs of the nodes, without duplicates, small ones first. */
function blobsOf(nodes: PushNode[]): Descriptor[] {
  const all = nodes.flatMap((node) => node.blobs);
  return [...new Map(all.map((blob) => [blob.digest, blob])).values()].sort((a, b) => a.size - b.size);
}

async function findBlobsMissingAtParent(
  { pushClient, signal }: PassContext,
  repository: Repository,
  blobs: Descriptor[],
): Promise<Descriptor[]> {
  const missing = new Set<Digest>();
  await each(blobs, MAX_PARALLEL, async ({ digest }) => {
    if (!(await pushClient.hasBlob(repository, digest, signal))) missing.add(digest);
  });
  return blobs.filter(({ digest }) => missing.has(digest));
}

async function put(
  context: PassContext,
  repository: Repository,
  node: FetchedManifest & { manifest: Manifest },
): Promise<void> {
  const { pushClient, signal } = context;
  const { digest, manifest } = node;
  const attempt = () => pushClient.putManifest(repository, digest, node, signal);
  const { subject } = await attempt().catch(async (error) => {
    if (error?.detail?.reason !== 'MANIFEST_BLOB_UNKNOWN' || manifest.blobs.length === 0) throw error;
    // The parent claimed to have the blobs, but its refusal of the manifest counts.
    await uploadBlobs(context, await uploadsOf(context, repository, manifest.blobs, { resend: true }));
    return attempt();
  });
  if (manifest.subject && !subject) await noteReferrer(context, repository, manifest.subject.digest, node);
}

/**
 * Adds manifests to the lists of referrers of a parent without the referrers API: the process that pushed them may have
 * ended before it did.
 */
async function restoreReferrers(
  context: PassContext,
  repository: Repository,
  digests: Digest[],
): Promise<void> {
  for (const digest of digests) {
    const node = await readNode(context, repository, digest).catch((error) => {
      if (Fault.is(error, 'manifest-unknown')) return undefined;
      throw error;
    });
    const subject = node?.manifest.subject?.digest;
    if (!node || !subject) continue;
    if (await context.parent.referrers(repository, subject, context.signal)) continue;
    await noteReferrer(context, repository, subject, node);
  }
}

/** The tag is read right before the move, for parents without conditional writes. */
async function moveTag(
  context: PassContext,
  repository: Repository,
  digest: Digest,
  { tag, expect }: { tag: Tag; expect: Digest | undefined },
): Promise<void> {
  const { parent, pushClient, signal } = context;
  const current = await parent.resolve(repository, tag, signal);
  if (current === digest) return;
  if (current !== expect) {
    throw new Fault('conflict', `${repository}:${tag} moved at the parent: the next pass decides again`);
  }
  const content = await readNode(context, repository, digest);
  await pushClient.putManifest(repository, tag, content, signal, { expect }).catch(async (error) => {
    // The answer to an earlier attempt may have been lost.
    const moved = Fault.is(error, 'conflict') && (await parent.resolve(repository, tag, signal)) === digest;
    if (!moved) throw error;
  });
}
