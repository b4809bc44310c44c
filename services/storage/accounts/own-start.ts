import { randomBytes } from 'node:crypto';
import { MAX_STARTS, type Start } from '#proto/accounts/children.ts';
import { folderIdentity, isSameIdentity } from '#proto/volume/folder-identity.ts';
import { type BatchWriter, put } from '../metadata/metadata.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';

/**
 * Records a start of this layer. Synced before it is sent to the parent, because the next start names this one.
 * @param data the data volume
 */
export async function beginStart(
  metadata: MetadataReader & BatchWriter,
  data: string,
  now: number,
): Promise<Start> {
  const last = (await metadata.starts()) ?? { place: '', ids: [], ended: 0 };
  const id = randomBytes(16).toString('hex');
  const identity = folderIdentity(data);
  const before = last.ids.slice(0, MAX_STARTS);
  // On one volume, one start runs at a time. Of a copy, earlier starts may still run on the original volume.
  const ended = isSameIdentity(last.place, identity) ? Math.min(last.ended + 1, before.length) : 0;
  await metadata.write(put.starts({ place: identity, ids: [id, ...before].slice(0, MAX_STARTS), ended }));
  return { id, at: now, before, ended };
}
