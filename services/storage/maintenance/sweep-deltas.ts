import { transferId } from '../content/ingest-folders.ts';
import { isNamed } from '../deltas/named-content.ts';
import type { Sweep } from './sweep.ts';

/**
 * Deletes deltas whose target is not here any more, and pairs of such targets. One whose bases were deleted stays: the
 * layers below may have them.
 */
export async function sweepDeltas(sweep: Sweep): Promise<void> {
  const { metadata, refusedPairs, dryRun, signal } = sweep;
  for await (const [digest] of metadata.allDeltas()) {
    signal.throwIfAborted();
    if (!(await isUseful(sweep, digest))) await dropDelta(sweep, digest);
  }
  if (!dryRun) await refusedPairs.drop(async (to) => !(await hasTarget(sweep, to)));
}

/** Deletes the deltas to a blob that was deleted, or would be. */
export async function dropDeltasTo(sweep: Sweep, to: string): Promise<void> {
  for (const digest of sweep.deltas.index.of(to)) await dropDelta(sweep, digest);
}

async function dropDelta({ metadata, deltas, found, dryRun }: Sweep, digest: string): Promise<void> {
  const size = deltas.index.get(digest)?.size;
  const isContent = dryRun ? !(await isNamed(metadata, digest)) : await deltas.forget(digest);
  if (!isContent || size === undefined) return;
  found.blobs += 1;
  found.bytes += size;
}

async function isUseful(sweep: Sweep, digest: string): Promise<boolean> {
  const { metadata, deltas, rules, endsGrace, now } = sweep;
  const delta = deltas.index.get(digest);
  if (!delta || !(await metadata.blob(digest))) return false;
  // It came before its target does, which is made with it.
  const isNew = delta.used + rules.graceMs > now();
  return (isNew && !endsGrace) || (await hasTarget(sweep, delta.to));
}

/** Damaged content comes again. */
async function hasTarget({ metadata }: Sweep, to: string): Promise<boolean> {
  const [[blob], [damaged], ingest] = await Promise.all([
    metadata.blobsByDigest([to]),
    metadata.damagedByDigest([to]),
    metadata.ingest(transferId(to)),
  ]);
  return [blob, damaged, ingest].some(Boolean);
}
