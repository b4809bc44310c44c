import { each } from '#proto/async/each.ts';
import { repositoriesOfBlob } from '#proto/content/blobs.ts';
import { getManifest, setBase } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Descriptor, type Manifest, readManifest } from '#proto/oci/manifest.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { imageFinished, imageStarted } from '#proto/sync/passes.ts';
import type { FetchedManifest } from '../../link/parent/parent.ts';
import { settleSent } from '../context/outgoing.ts';
import type { PassContext } from '../context/pass-context.ts';
import { TreeBudget, type TreeLimits } from '../context/tree-budget.ts';
import { selectionOf } from '../select/patterns.ts';
import { noteReferrer } from './referrers-tag.ts';

/** A manifest that the parent lacks: its bytes are read when it goes up, so that a large index is not held whole. */
type Branch = { digest: Digest; blobs: Descriptor[] };

/** Questions to the parent at a time. */
const AT_ONCE = 8;
/** As in `tree.ts`: more is no image. */
const MAX_DEPTH = 16;
/** Repositories from which a blob may be mounted. */
const MAX_FROM = 10;

/**
 * Sends what the parent lacks of a manifest: blobs (as jobs, by whichever syncer), then manifests, children before
 * parents; and points the tag to it last, if it still points there to what is expected. Of a manifest that the parent
 * has, nothing below is asked for: it takes none without what it refers to.
 * @returns whether anything was sent or moved
 * @throws Fault; `conflict` where the tag moved at the parent, `parent-refused` with `detail.status`
 */
export async function send(
  context: PassContext,
  repository: Repository,
  digest: Digest,
  move?: { tag: Tag; expect: Digest | undefined },
  limits?: TreeLimits,
): Promise<boolean> {
  const { bus, pass } = context;
  const about = { pass, repository, tag: move?.tag ?? null, digest };
  const { branches, there } = await lacking(context, repository, digest, limits);
  // A tag's manifest is unsent until the tag is noted as moved: so the next pass knows whose move it was.
  const last = (one: Digest) => move !== undefined && one === digest;
  // What the layer leaves out of an index is there as well, and is not to be taken for what a client deleted here.
  const own = there.filter((one) => context.unsentChanges.isUnsent(repository, one));
  await noteAgain(context, repository, own);
  await settleSent(
    bus,
    repository,
    own.filter((one) => !last(one)),
  );
  if (branches.length === 0 && !move) return false;
  const blobs = blobsOf(branches);
  const missing = await missingAbove(context, repository, blobs);
  const bytes = missing.reduce((sum, { size }) => sum + size, 0);
  bus.publish(imageStarted, { ...about, direction: 'up', blobs: missing.length, bytes });
  await sendBlobs(context, repository, missing);
  for (const branch of branches) {
    await put(context, repository, await readBranch(context, repository, branch.digest));
    if (!last(branch.digest)) await settleSent(bus, repository, [branch.digest]);
  }
  if (move) {
    await moveTag(context, repository, digest, move);
    await settleSent(bus, repository, [digest]);
  }
  bus.publish(imageFinished, { ...about, direction: 'up' });
  return true;
}

/** In the order in which the parent takes them. */
async function lacking(
  context: PassContext,
  repository: Repository,
  root: Digest,
  limits: TreeLimits | undefined,
): Promise<{ branches: Branch[]; there: Digest[] }> {
  const branches: Branch[] = [];
  const there: Digest[] = [];
  const seen = new Set<Digest>();
  const budget = new TreeBudget(`${root} of ${repository}`, limits);
  const visit = async (digest: Digest, depth: number): Promise<void> => {
    if (depth > MAX_DEPTH)
      throw new Fault('manifest-invalid', `${root} of ${repository} is nested too deeply`);
    context.signal.throwIfAborted();
    const branch = await readBranch(context, repository, digest).catch((error) => {
      // Left out of a sparse index: whether the parent can do without it, it says itself.
      if (depth > 0 && Fault.is(error, 'manifest-unknown') && error.detail?.leftOut) return undefined;
      throw error;
    });
    if (!branch) return;
    const { blobs, manifests } = branch.manifest;
    budget.visit();
    budget.fetched(0, blobs.length);
    for (const child of await missing(manifests)) await visit(child, depth + 1);
    branches.push({ digest, blobs: blobs.map(({ digest, size }) => ({ mediaType: '', digest, size })) });
  };
  /** Each is asked for once. */
  const missing = async (manifests: { digest: Digest }[]): Promise<Digest[]> => {
    const asked = [...new Set(manifests.map(({ digest }) => digest))].filter((digest) => !seen.has(digest));
    for (const digest of asked) seen.add(digest);
    const lacks = new Set<Digest>();
    await each(asked, AT_ONCE, async (digest) => {
      if (await context.upward.hasManifest(repository, digest, context.signal)) there.push(digest);
      else lacks.add(digest);
    });
    return asked.filter((digest) => lacks.has(digest));
  };
  for (const digest of await missing([{ digest: root }])) await visit(digest, 0);
  return { branches, there };
}

async function readBranch(
  { bus, volume }: PassContext,
  repository: Repository,
  digest: Digest,
): Promise<FetchedManifest & { manifest: Manifest }> {
  for (let attempt = 1; ; attempt += 1) {
    const { path, mediaType, size } = await bus.call(getManifest, { repository, reference: digest });
    await using file = await volume.openBlob({ path });
    if (file) {
      const bytes = Buffer.alloc(size);
      await file.read(bytes, 0);
      return { digest, mediaType, bytes, manifest: readManifest(bytes, mediaType) };
    }
    if (attempt === 3) throw new Fault('manifest-unknown', `${digest} of ${repository} can't be found here`);
  }
}

/** Each once, small ones first. */
function blobsOf(branches: Branch[]): Descriptor[] {
  const all = branches.flatMap((branch) => branch.blobs);
  return [...new Map(all.map((blob) => [blob.digest, blob])).values()].sort((a, b) => a.size - b.size);
}

async function missingAbove(
  { upward, signal }: PassContext,
  repository: Repository,
  blobs: Descriptor[],
): Promise<Descriptor[]> {
  const missing = new Set<Digest>();
  await each(blobs, AT_ONCE, async ({ digest }) => {
    if (!(await upward.hasBlob(repository, digest, signal))) missing.add(digest);
  });
  return blobs.filter(({ digest }) => missing.has(digest));
}

async function sendBlobs(
  context: PassContext,
  repository: Repository,
  blobs: Descriptor[],
  again = false,
): Promise<void> {
  const wanted = await Promise.all(
    blobs.map(async ({ digest, size }) => ({
      repository,
      digest,
      size,
      ...(again ? { again } : { from: await mountable(context, repository, digest) }),
    })),
  );
  const results = await Promise.allSettled(wanted.map((one) => context.arrivals.send(one)));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

/** Other repositories of the layer that have the blob, and may have it at the parent. */
async function mountable(
  { bus, configuration }: PassContext,
  repository: Repository,
  digest: Digest,
): Promise<Repository[]> {
  const { repositories } = await bus.call(repositoriesOfBlob, { digest, limit: 100 });
  return repositories
    .filter((name) => name !== repository && selectionOf(configuration.repositories, name))
    .slice(0, MAX_FROM);
}

async function put(
  context: PassContext,
  repository: Repository,
  branch: FetchedManifest & { manifest: Manifest },
): Promise<void> {
  const { upward, signal } = context;
  const { digest, manifest } = branch;
  const ask = () => upward.putManifest(repository, digest, branch, signal);
  const { subject } = await ask().catch(async (error) => {
    if (error?.detail?.reason !== 'MANIFEST_BLOB_UNKNOWN' || manifest.blobs.length === 0) throw error;
    // It said that it has them: what it says of manifests counts.
    await sendBlobs(context, repository, manifest.blobs, true);
    return ask();
  });
  if (manifest.subject && !subject) await noteReferrer(context, repository, manifest.subject.digest, branch);
}

/** Whoever sent these need not have lived to enter them into the lists of a parent that keeps none of its own. */
async function noteAgain(context: PassContext, repository: Repository, there: Digest[]): Promise<void> {
  for (const digest of there) {
    const branch = await readBranch(context, repository, digest).catch((error) => {
      if (Fault.is(error, 'manifest-unknown')) return undefined;
      throw error;
    });
    const subject = branch?.manifest.subject?.digest;
    if (!branch || !subject) continue;
    if (await context.parent.referrers(repository, subject, context.signal)) continue;
    await noteReferrer(context, repository, subject, branch);
  }
}

/** For parents that know no conditions, what is there is looked at right before. */
async function moveTag(
  context: PassContext,
  repository: Repository,
  digest: Digest,
  { tag, expect }: { tag: Tag; expect: Digest | undefined },
): Promise<void> {
  const { bus, parent, upward, signal } = context;
  const found = await parent.resolve(repository, tag, signal);
  if (found !== digest) {
    if (found !== expect) {
      throw new Fault('conflict', `${repository}:${tag} moved at the parent: the next pass decides again`);
    }
    const content = await readBranch(context, repository, digest);
    await upward.putManifest(repository, tag, content, signal, { expect }).catch(async (error) => {
      // The answer to an earlier attempt may have been lost.
      const moved = Fault.is(error, 'conflict') && (await parent.resolve(repository, tag, signal)) === digest;
      if (!moved) throw error;
    });
  }
  await bus.call(setBase, { repository, tag, digest });
}
