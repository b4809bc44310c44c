import { type LogPart, partsOf } from './log-records.ts';
import { readWriteBatch, type WriteBatch } from './write-batch.ts';

/** What of a log is missing, and whether that may be. Pure. */

/**
 * `nothing`: no power was lost since the log was written, so all of it is there; only the last record may be cut off,
 * where its writer was killed. `unsynced`: the power may have been lost. Then what had not been synced may be missing or
 * torn. A record is appended only after the synced one before it is on the disk: behind a flaw, the first synced record
 * may have been on its way like the flaw itself, and with the second one, the flaw was on the disk.
 */
export type MayLack = 'nothing' | 'unsynced';

export type Flaw = { offset: number; bytes: number; what: string };

export type LogVerdict = {
  /** What was on the disk and can't be read any more. */
  flaws: Flaw[];
  /** What may be missing is. */
  torn: boolean;
  /** The sequence that the next record would have. */
  next: number | undefined;
};

export type LogRules = {
  mayLack: MayLack;
  /** Whether the batch was written with a sync. */
  isSynced: (batch: WriteBatch) => boolean;
  /** No other log comes behind it. */
  last: boolean;
  /** The first record has no higher sequence; undefined where that is not known. */
  expected: number | undefined;
};

const PROOF = 2;

export function judgeLog(log: Uint8Array, { mayLack, isSynced, last, expected }: LogRules): LogVerdict {
  const found: (Flaw & { syncedBehind: number })[] = [];
  const note = (offset: number, bytes: number, what: string, written = false) =>
    found.push({ offset, bytes, what, syncedBehind: written ? PROOF : 0 });
  let next = expected;
  let begun = false;
  let cut = false;
  let flawed = false;
  for (const part of partsOf(log)) {
    const batch = part.kind === 'record' ? readWriteBatch(part.bytes) : undefined;
    if (!batch) {
      cut = part.kind === 'cut';
      const written = part.kind === 'damage' && part.written;
      if (!cut || !last) note(part.offset, lengthOf(part), cut ? 'ends too early' : 'is damaged', written);
      flawed = true;
      continue;
    }
    const skips = next !== undefined && (begun ? batch.sequence !== next : batch.sequence > next);
    if (skips && !flawed) note(part.offset, 0, 'lacks records');
    next = batch.sequence + batch.count;
    begun = true;
    flawed = false;
    if (isSynced(batch)) for (const flaw of found) flaw.syncedBehind += 1;
  }
  const counts = found.filter(({ syncedBehind }) => mayLack === 'nothing' || syncedBehind >= PROOF);
  const flaws = counts.map(({ syncedBehind: _, ...flaw }) => flaw);
  return { flaws, torn: cut || counts.length < found.length, next };
}

const lengthOf = (part: LogPart): number => (part.kind === 'record' ? part.bytes.length : part.length);
