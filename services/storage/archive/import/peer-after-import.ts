import { type BatchWriter, put } from '../../metadata/metadata.ts';
import type { ImportedRecord, PeerRecord } from '../../metadata/records.ts';
import type { PeerBook } from '../book/peer-book.ts';
import type { FoundSet } from './found-sets.ts';

/** Max earlier epochs of a sender that are remembered. */
const MAX_EPOCHS = 50;

/** The record of the sender once its set is imported. @param done when, and what it brought */
export function recordAfter(
  { list, digest }: FoundSet,
  before: PeerRecord,
  done: Required<Pick<ImportedRecord, 'at' | 'bytes' | 'changed'>>,
): PeerRecord {
  const { sender, target, number } = list;
  const { imported: last } = before;
  const isSame = last?.epoch === sender.epoch;
  const earlier = last ? [...last.epochs, ...(isSame ? [] : [last.epoch])] : [];
  const acknowledged = target.epoch === before.epoch ? (target.imported ?? 0) : 0;
  return {
    ...before,
    acknowledged: Math.max(isSame ? before.acknowledged : 0, acknowledged),
    imported: {
      target: target.name,
      instance: sender.instance,
      epoch: sender.epoch,
      since: sender.since,
      number,
      list: digest,
      epochs: earlier.slice(-MAX_EPOCHS),
      ...done,
    },
    missing: [],
    lacking: [],
  };
}

/**
 * What the sender asks for again is carried again by the next set; a sender that was restored may lack anything. This
 * does not wait for the import: both sides may be unable to import until the other one has sent something again.
 * @returns the record of the sender after that
 */
export async function takeRequests(
  { book, metadata }: { book: PeerBook; metadata: BatchWriter },
  { list }: FoundSet,
  before: PeerRecord,
): Promise<PeerRecord> {
  const { sender, number } = list;
  const { requests } = before;
  if (requests?.epoch === sender.epoch && requests.number >= number) return before;
  const peer = sender.layer;
  const known = requests?.epoch ?? before.imported?.epoch;
  if (known !== undefined && known !== sender.epoch) await book.forgetCarried(peer, () => true);
  const { requests: requested } = list;
  if (requested.epoch === before.epoch) {
    const missing = new Set(requested.missing);
    if (missing.size > 0) await book.forgetCarried(peer, (carrier) => missing.has(carrier));
    if (requested.lacking.length > 0) await book.forgetContent(peer, requested.lacking);
  }
  const after = { ...before, requests: { epoch: sender.epoch, number } };
  await metadata.write(put.peer(peer, after));
  return after;
}
