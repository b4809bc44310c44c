import { randomBytes } from 'node:crypto';
import { MAX_STARTS, type Start } from '#proto/accounts/children.ts';
import { isSamePlace, placeOf } from '#proto/volume/folder-identity.ts';
import { type Metadata, put } from '../metadata/metadata.ts';

/**
 * Notes that this layer starts. On the disk before the parent hears of it: the next start names this one.
 * @param data the data volume
 */
export async function beginStart(
  metadata: Pick<Metadata, 'starts' | 'write'>,
  data: string,
  now: number,
): Promise<Start> {
  const last = (await metadata.starts()) ?? { place: '', ids: [], ended: 0 };
  const id = randomBytes(16).toString('hex');
  const place = placeOf(data);
  const before = last.ids.slice(0, MAX_STARTS);
  // In one place there is one at a time; of a copy, the starts before it may go on where it was made.
  const ended = isSamePlace(last.place, place) ? Math.min(last.ended + 1, before.length) : 0;
  await metadata.write(put.starts({ place, ids: [id, ...before].slice(0, MAX_STARTS), ended }));
  return { id, at: now, before, ended };
}
