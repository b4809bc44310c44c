import type { HeldContent } from '#proto/content/held-content.ts';
import { DigestSet, type Slice } from './digest-set.ts';
import { heldFiles } from './explain-files.ts';
import { NamedContent } from './explain-names.ts';
import { HeldTotals } from './held-totals.ts';
import type { Sweep } from './sweep.ts';
import { findWaiting } from './sweep-content.ts';

/** Digests whose waiting for a manifest is looked up at a time. */
const BATCH = 500;

/**
 * What garbage collection leaves, for which reason, and until when. Reads all manifests and all records of content;
 * changes nothing. Each blob counts for the first reason that holds it.
 */
export async function explainHeld(sweep: Sweep): Promise<HeldContent[]> {
  const { metadata, maxSlice, wall } = sweep;
  const totals = new HeldTotals();
  const of = Math.max(1, Math.ceil(metadata.counters.blobs / maxSlice));
  for (let index = 0; index < of; index += 1) await explainSlice(sweep, totals, { index, of });
  await heldFiles(sweep, totals);
  return totals.list(wall());
}

async function explainSlice(sweep: Sweep, totals: HeldTotals, slice: Slice): Promise<void> {
  const { metadata, signal } = sweep;
  const names = await NamedContent.read(sweep, slice);
  if (slice.index === 0) for (const [reason, count] of names.manifests) totals.addManifests(reason, count);
  const covered = new DigestSet(slice);
  let unnamed: [digest: string, size: number][] = [];
  const addUnnamed = async () => {
    const waiting = await findWaiting(
      sweep,
      unnamed.map(([digest]) => digest),
    );
    for (const [digest, size] of unnamed) addOne(sweep, names, totals, { digest, size }, waiting);
    unnamed = [];
  };
  for await (const [digest, { size }] of metadata.allBlobs()) {
    signal.throwIfAborted();
    if (!covered.covers(digest)) continue;
    const reason = names.reasonOf(digest);
    if (reason) totals.add(reason, size);
    else if (unnamed.push([digest, size]) === BATCH) await addUnnamed();
  }
  await addUnnamed();
}

/** Counts content that no manifest names, if something holds it. */
function addOne(
  { grace, deltas, endsGrace }: Sweep,
  names: NamedContent,
  totals: HeldTotals,
  { digest, size }: { digest: string; size: number },
  waiting: ReadonlyMap<string, number>,
): void {
  const leftMs = Math.max(grace.leftMs(digest), names.graceLeftMs(digest));
  const graceLeftMs = endsGrace && Number.isFinite(leftMs) ? 0 : leftMs;
  const transferLeftMs = waiting.get(digest);
  if (deltas.index.get(digest)) totals.add('delta', size);
  else if (graceLeftMs > 0) totals.add('grace', size, Number.isFinite(graceLeftMs) ? graceLeftMs : undefined);
  else if (names.isOfOpenUpload(digest)) totals.add('open-upload', size);
  else if (transferLeftMs !== undefined) totals.add('transfer', size, transferLeftMs);
}
