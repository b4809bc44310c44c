import type { Static } from '@sinclair/typebox';
import type { BookedSet, listArchives, Peer } from '#proto/archive/archives.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import type { PeerRecord } from '../metadata/records.ts';

/** Max sides, and max sets of all of them: what a message of the bus has room for. */
const MAX_LISTED = 500;

/** The book as a reply: all other sides, and their latest sets. @param target only this side */
export async function bookOf(
  metadata: MetadataReader,
  target: string | undefined,
): Promise<Static<typeof listArchives.reply>> {
  const peers: Static<typeof Peer>[] = [];
  const sets: BookedSet[] = [];
  for await (const [name, record] of metadata.peers()) {
    if (peers.length === MAX_LISTED || (target !== undefined && name !== target)) continue;
    peers.push(peerOf(name, record));
    for await (const [number, { epoch: _, list: __, ...set }] of metadata.archiveSets(name)) {
      sets.push({ target: name, number: Number(number), ...set });
    }
  }
  sets.sort((a, b) => b.created - a.created || b.number - a.number);
  return { peers, sets: sets.slice(0, MAX_LISTED) };
}

function peerOf(
  name: string,
  { exported, acknowledged, imported, missing }: PeerRecord,
): Static<typeof Peer> {
  return {
    name,
    ...(exported > 0 && { exported }),
    ...(acknowledged > 0 && { acknowledged }),
    ...(imported && { imported: imported.number }),
    missing,
  };
}
