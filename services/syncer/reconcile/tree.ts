import type { Bus } from '#proto/bus.ts';
import { Fault } from '#proto/fault.ts';
import { getManifest, missingManifests } from '#proto/manifests.ts';
import type { Digest, Repository } from '#proto/names.ts';
import { type Descriptor, MANIFEST_LIMIT, type Manifest, readManifest } from '#proto/oci.ts';
import type { Volume } from '#proto/volume.ts';
import type { FetchedManifest, Parent } from '../link/parent.ts';

/** A manifest that the layer lacks. */
export type Branch = FetchedManifest & { manifest: Manifest };

export type TreeMeans = {
  bus: Bus;
  volume: Volume;
  parent: Pick<Parent, 'manifest' | 'referrers'>;
  signal: AbortSignal;
};

/** An index may hold indexes, and a referrer have referrers; more than this is no image. */
const DEEPEST = 16;

/**
 * What the layer lacks of everything that hangs on a manifest: the manifest, what it refers to, and what refers to
 * it, in the order in which it can be committed (children before parents). A manifest that the layer has is not asked
 * for, nor are its children: storage takes none without them.
 */
export async function missingTree(means: TreeMeans, repository: Repository, root: Digest): Promise<Branch[]> {
  const order: Branch[] = [];
  const seen = new Set<Digest>();
  const visit = async (digest: Digest, depth: number): Promise<void> => {
    if (seen.has(digest)) return;
    seen.add(digest);
    if (depth > DEEPEST) throw new Fault('manifest-invalid', `${root} of ${repository} is nested too deeply`);
    means.signal.throwIfAborted();
    const { digests } = await means.bus.call(missingManifests, { repository, digests: [digest] });
    if (digests.length > 0) {
      const fetched = await means.parent.manifest(repository, digest, means.signal);
      const manifest = readManifest(fetched.bytes, fetched.mediaType);
      for (const child of manifest.manifests) await visit(child.digest, depth + 1);
      order.push({ ...fetched, manifest });
    } else {
      const manifest = await localManifest(means, repository, digest);
      for (const child of manifest?.manifests ?? []) await visit(child.digest, depth + 1);
    }
    for (const referrer of (await means.parent.referrers(repository, digest, means.signal)) ?? []) {
      await visit(referrer.digest, depth + 1);
    }
  };
  await visit(root, 0);
  return order;
}

/** The blobs of the branches, each once. */
export function blobsOf(branches: Branch[]): Descriptor[] {
  const all = branches.flatMap(({ manifest }) => manifest.blobs);
  return [...new Map(all.map((blob) => [blob.digest, blob])).values()];
}

async function localManifest(
  { bus, volume }: TreeMeans,
  repository: Repository,
  digest: Digest,
): Promise<Manifest | undefined> {
  const place = await bus.call(getManifest, { repository, reference: digest });
  await using file = await volume.openBlob(place);
  if (!file) return undefined;
  const bytes = Buffer.alloc(Math.min(place.size, MANIFEST_LIMIT));
  await file.read(bytes, 0);
  return readManifest(bytes, place.mediaType);
}
