import type { Fault } from '#proto/contract/fault.ts';
import { type Descriptor, isIndexType } from '#proto/oci/manifest.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import { isOfParent, leftOutItem } from '../context/leave-out.ts';
import { type ImageNode, toLeftOut } from './image-node.ts';

/** Which manifests of an image are committed, once it is known which of its blobs could not be downloaded. Pure. */

export type CommitPlan = {
  /** Manifests to commit, in this order, each with all children that it leaves out. */
  commits: ImageNode[];
  problems: LeftOutItem[];
  /** Referrers whose blobs the parent does not have, with the fault of its answer. */
  lostReferrers: [Digest, Fault][];
  /** Why the image can't be committed now. */
  failure?: unknown;
};

/** Whether an entry of an index is left out because of its fault, rather than failing the image. */
export type IsLeftOut = (digest: Digest, error: unknown) => boolean;

export function planCommits(
  root: Digest,
  nodes: readonly ImageNode[],
  failedBlobs: ReadonlyMap<Digest, unknown>,
  isLeftOut: IsLeftOut,
): CommitPlan {
  const plan: CommitPlan = { commits: [], problems: [], lostReferrers: [] };
  /** Manifests that can't be committed, until one that refers to them leaves them out. */
  const failed = new Map<Digest, { error: unknown; node: ImageNode }>();
  for (const node of nodes) {
    const { manifest, isReferrer, digest } = node;
    const entries = [...manifest.blobs, ...manifest.manifests];
    const faults = entries.flatMap((entry) => {
      const error = failedBlobs.get(entry.digest) ?? failed.get(entry.digest)?.error;
      return error === undefined ? [] : [{ entry, error }];
    });
    const mayLeaveOut = ({ entry, error }: { entry: Descriptor; error: unknown }) =>
      isReferrer ? isOfParent(error) : isLeftOut(entry.digest, error);
    const isSparse = isIndexType(node.mediaType) && faults.length < entries.length;
    // The parent need not have a foreign layer; a fault that may pass says nothing about that.
    const fatal =
      (isSparse ? faults.find((fault) => !mayLeaveOut(fault)) : faults[0]) ??
      manifest.foreign.flatMap((entry) => {
        const error = failedBlobs.get(entry.digest);
        return error === undefined || mayLeaveOut({ entry, error }) ? [] : [{ entry, error }];
      })[0];
    if (fatal) {
      failed.set(digest, { error: fatal.error, node });
      continue;
    }
    for (const { entry, error } of faults) {
      failed.delete(entry.digest);
      if (isOfParent(error)) plan.problems.push(leftOutItem('child', error, { digest: entry.digest }));
    }
    const leftOut = [
      ...node.leftOut,
      ...faults.map(({ entry }) => ({ ...toLeftOut(entry), unavailable: true as const })),
    ];
    plan.commits.push({ ...node, leftOut });
  }
  const entries = new Set(nodes.flatMap(({ manifest }) => manifest.manifests.map(({ digest }) => digest)));
  for (const [digest, { error, node }] of failed) {
    if (node.isReferrer && isOfParent(error)) {
      plan.problems.push(leftOutReferrer(node, error));
      if (isLeftOut(digest, error)) plan.lostReferrers.push([digest, error]);
    } else if (digest === root) plan.failure ??= error;
    // The manifest that refers to it failed with it, or is an index that is here already.
    else if (entries.has(digest)) continue;
    else if (isOfParent(error) && isLeftOut(digest, error))
      plan.problems.push(leftOutItem('child', error, { digest }));
    else plan.failure ??= error;
  }
  return plan;
}

export const leftOutReferrer = ({ digest, manifest }: ImageNode, fault: Fault): LeftOutItem =>
  leftOutItem('referrer', fault, {
    digest,
    subject: manifest.subject?.digest,
    artifactType: manifest.artifactType,
  });
