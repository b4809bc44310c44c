import { locateBlob, repositoriesOfBlob } from '#proto/content/blobs.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { selectionOf } from '#proto/oci/repository-pattern.ts';
import type { PassContext } from '../context/pass-context.ts';
import { deltasToPush, type PushDecision, type TreeToPush } from '../deltas/push-deltas.ts';

/** Max repositories from which a blob may be mounted. */
const MAX_MOUNT_SOURCES = 10;

/** A blob that the parent lacks. */
export type WantedUpload = Parameters<PassContext['transferJobs']['upload']>[0];

/** @param resend although the parent claims to have them */
export async function uploadsOf(
  context: PassContext,
  repository: Repository,
  blobs: Descriptor[],
  { resend = false } = {},
): Promise<WantedUpload[]> {
  return Promise.all(
    blobs.map(async ({ digest, size }) => ({
      repository,
      digest,
      size: await sizeHere(context, repository, digest, size),
      ...(resend ? { resend } : { from: await findMountSources(context, repository, digest) }),
    })),
  );
}

/** @param deltas by which blobs may cross the link @throws Fault of the first one that failed, once all have ended */
export async function uploadBlobs(
  { transferJobs }: PassContext,
  wanted: readonly WantedUpload[],
  deltas?: ReadonlyMap<Digest, PushDecision>,
): Promise<void> {
  const results = await Promise.allSettled(
    wanted.map(async (one) => {
      const delta = await deltas?.get(one.digest);
      await transferJobs.upload({ ...one, ...(delta && { delta }) });
    }),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

/** Decides which blobs of a tree cross the link as deltas. Not one that the parent can mount. */
export function decideDeltas(
  context: PassContext,
  wanted: readonly WantedUpload[],
  tree: Pick<TreeToPush, 'repository' | 'images' | 'similar'>,
): ReadonlyMap<Digest, PushDecision> {
  const sources = new Map(wanted.map(({ digest, from }) => [digest, from ?? []]));
  const isMountable = (digest: Digest) => hasOne(context, digest, sources.get(digest) ?? []);
  return deltasToPush(context, { ...tree, missing: wanted, isMountable });
}

/** Whether one of these repositories of the parent has the blob. */
async function hasOne(
  { pushClient, signal }: PassContext,
  digest: Digest,
  sources: readonly Repository[],
): Promise<boolean> {
  const found = await Promise.all(sources.map((source) => pushClient.hasBlob(source, digest, signal)));
  return found.includes(true);
}

/** The size of a blob that is here: a manifest of another parent may have a wrong one. */
async function sizeHere(
  { bus }: PassContext,
  repository: Repository,
  digest: Digest,
  described: number,
): Promise<number> {
  const place = await bus.call(locateBlob, { repository, digest }).catch((error) => {
    // The upload fails by itself, with the reason.
    if (Fault.is(error, 'blob-unknown', 'name-unknown')) return undefined;
    throw error;
  });
  return place?.size ?? described;
}

/** Other repositories of the layer that have the blob, and so may have it at the parent. */
async function findMountSources(
  { bus, configuration }: PassContext,
  repository: Repository,
  digest: Digest,
): Promise<Repository[]> {
  const { repositories } = await bus.call(repositoriesOfBlob, { digest, limit: 100 });
  return repositories
    .filter((name) => name !== repository && selectionOf(configuration.repositories, name))
    .slice(0, MAX_MOUNT_SOURCES);
}
