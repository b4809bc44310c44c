import { type LogPart, logParts } from './log-records.ts';
import { readWriteBatch, type WriteBatch } from './write-batch.ts';

/** Decides which gaps of a log are damage, and which may follow from an unclean end. Pure. */

/**
 * `nothing`: no power loss since the log was written, so it is complete; only the last record may be cut off, if the
 * writer was killed. `unsynced`: power may have been lost, so unsynced records may be missing or torn.
 *
 * A record is appended only after the synced record before it is on the disk. So the first synced record after a flaw
 * may have been in flight together with the flaw, but a second one proves that the flaw was on the disk.
 */
export type MayLack = 'nothing' | 'unsynced';

export type Flaw = { offset: number; bytes: number; what: string };

export type LogVerdict = {
  /** Data that was on the disk and can't be read any more. */
  flaws: Flaw[];
  /** The log lacks data which `mayLack` allows to be missing. */
  torn: boolean;
  /** Sequence number of the next record. */
  next: number | undefined;
};

/** What is known of the writer of the logs. */
export type WriterRules = {
  mayLack: MayLack;
  /** Whether the batch was written with a sync. */
  isSynced: (batch: WriteBatch) => boolean;
};

export type LogRules = WriterRules & {
  /** No other log follows. */
  last: boolean;
  /** Max sequence number of the first record; undefined if unknown. */
  expected: number | undefined;
};

/** Synced records after a flaw that prove that the flaw was on the disk. */
const MIN_SYNCED_BEHIND = 2;

export function judgeLog(log: Uint8Array, { mayLack, isSynced, last, expected }: LogRules): LogVerdict {
  const candidates: (Flaw & { syncedBehind: number })[] = [];
  const add = (offset: number, bytes: number, what: string, written = false) =>
    candidates.push({ offset, bytes, what, syncedBehind: written ? MIN_SYNCED_BEHIND : 0 });
  let next = expected;
  let hasRecords = false;
  let cut = false;
  let flawed = false;
  for (const part of logParts(log)) {
    const batch = part.kind === 'record' ? readWriteBatch(part.bytes) : undefined;
    if (!batch) {
      cut = part.kind === 'cut';
      const written = part.kind === 'damage' && part.written;
      if (!cut || !last) add(part.offset, lengthOf(part), cut ? 'is truncated' : 'is damaged', written);
      flawed = true;
      continue;
    }
    const skips = next !== undefined && (hasRecords ? batch.sequence !== next : batch.sequence > next);
    if (skips && !flawed) add(part.offset, 0, 'lacks records');
    next = batch.sequence + batch.count;
    hasRecords = true;
    flawed = false;
    if (isSynced(batch)) for (const flaw of candidates) flaw.syncedBehind += 1;
  }
  const proven = candidates.filter(
    ({ syncedBehind }) => mayLack === 'nothing' || syncedBehind >= MIN_SYNCED_BEHIND,
  );
  const flaws = proven.map(({ syncedBehind: _, ...flaw }) => flaw);
  return { flaws, torn: cut || proven.length < candidates.length, next };
}

const lengthOf = (part: LogPart): number => (part.kind === 'record' ? part.bytes.length : part.length);
