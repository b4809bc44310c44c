import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readList } from '#proto/archive/list.ts';
import { listName, setName } from '#proto/archive/set-names.ts';
import type { Metadata } from '../../metadata/metadata.ts';
import type { PeerRecord } from '../../metadata/records.ts';
import { digestOfBytes } from '../book/digest-of-bytes.ts';
import type { PeerBook } from '../book/peer-book.ts';
import { exportedSet, recordSet } from './record-set.ts';

/**
 * If storage was killed between a set and its entry in the book: makes the entry, if the set is still there. A set that
 * can't be found may be on its way or not: its number stays used, its content is not taken as carried.
 */
export async function recognizePending(
  { metadata, book, layer }: { metadata: Metadata; book: PeerBook; layer: string },
  target: string,
  peer: PeerRecord,
): Promise<PeerRecord> {
  const { pending } = peer;
  if (!pending) return peer;
  const path = join(pending.folder, listName(setName(layer, target, pending.number)));
  const bytes = await readFile(path).catch(() => undefined);
  if (!bytes || digestOfBytes(bytes) !== pending.list) {
    await book.forgetCarried(target, (number) => number > peer.exported);
    return peer;
  }
  const list = readList(bytes);
  await recordSet(metadata, peer, {
    set: exportedSet(list, bytes.byteLength, peer.exported),
    list,
    digest: pending.list,
  });
  return (await metadata.peer(target)) ?? peer;
}
