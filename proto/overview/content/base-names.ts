import type { BusCaller, HistoryReader } from '../../bus/roles.ts';
import type { Envelope } from '../../contract/envelope.ts';
import { readManifest } from '../../oci/read-manifest.ts';
import { syncTags } from '../../sync/behind.ts';
import { recentEvents } from '../recent-events.ts';
import type { ReadManifestBytes } from './manifest-view.ts';

/** Max tags, and events of moved tags, by which an image is found, and max manifests that are read. */
const MAX_TAGS = 200;
const MAX_MOVES = 100;
const MAX_READ = 300;
/** Max entries of an index that are read, and max names of a blob. */
const MAX_ENTRIES = 8;
const MAX_NAMES = 3;

type Sources = { bus: BusCaller & HistoryReader; read: ReadManifestBytes };

/**
 * Which images of a repository have these blobs: by the tags that it has, such as `2.1`, and by those that moved on
 * from an image that is still here, such as `2.1 before`. Blobs that none of them has are absent.
 */
export async function baseNames(
  { bus, read }: Sources,
  repository: string,
  blobs: ReadonlySet<string>,
): Promise<Map<string, string[]>> {
  const names = new Map<string, string[]>();
  if (blobs.size === 0) return names;
  let reads = 0;
  const visit = async (name: string, digest: string, depth: number): Promise<void> => {
    if (reads >= MAX_READ) return;
    reads += 1;
    // It may be deleted by now.
    const found = await read(repository, digest).catch(() => undefined);
    if (!found) return;
    const manifest = readManifest(found.bytes, found.place.mediaType);
    for (const blob of manifest.blobs) {
      const known = names.get(blob.digest) ?? [];
      if (!blobs.has(blob.digest) || known.includes(name) || known.length >= MAX_NAMES) continue;
      names.set(blob.digest, [...known, name]);
    }
    if (depth > 0) return;
    for (const entry of manifest.manifests.slice(0, MAX_ENTRIES)) await visit(name, entry.digest, 1);
  };
  const { tags } = await bus.call(syncTags, { repository, limit: MAX_TAGS });
  const current = new Set<string>();
  for (const { tag, digest } of tags) {
    if (!digest) continue;
    current.add(`${tag} ${digest}`);
    await visit(tag, digest, 0);
  }
  if (names.size === blobs.size) return names;
  for (const { tag, from } of await movesOf(bus, repository))
    if (!current.has(`${tag} ${from}`)) await visit(`${tag} before`, from, 0);
  return names;
}

type Moved = { repository?: string; tag?: string; from?: string };

/** The manifests from which tags of the repository moved on, the last ones first. */
async function movesOf(bus: HistoryReader, repository: string): Promise<{ tag: string; from: string }[]> {
  const fits = ({ data }: Envelope, child: string | undefined) =>
    child === undefined && ((data ?? {}) as Moved).repository === repository;
  const { events } = await recentEvents(bus, { subject: 'events.tag.moved', limit: MAX_MOVES, fits });
  return events.flatMap(({ event }) => {
    const { tag, from } = event.data as Moved;
    return tag !== undefined && from !== undefined ? [{ tag, from }] : [];
  });
}
