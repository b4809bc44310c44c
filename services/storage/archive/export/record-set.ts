import type { ExportedSet } from '#proto/archive/archives.ts';
import type { ArchiveList, ListedRepository } from '#proto/archive/list.ts';
import { drop, type Metadata, put } from '../../metadata/metadata.ts';
import type { PeerRecord, SetRecord } from '../../metadata/records.ts';
import { putVersion } from '../book/tag-stamps.ts';

/** Records of one batch. */
const BATCH = 5_000;
/** Max sets of a target that the book lists. */
const MAX_SETS = 1_000;

/** The figures of a set. @param exported number of the set before */
export function exportedSet(list: ArchiveList, listBytes: number, exported: number): ExportedSet {
  const { target, number, parts, parity, content, repositories } = list;
  const files = [...parts, ...(parity?.files ?? [])];
  return {
    target: target.name,
    number,
    parts: parts.length,
    parity: parity?.files.length ?? 0,
    bytes: files.reduce((sum, { size }) => sum + size, listBytes),
    content: content.length,
    ...countsOf(repositories, exported),
  };
}

/** Changes are those that were stamped for a set after this one. */
export function countsOf(
  repositories: readonly ListedRepository[],
  exported: number,
): Pick<ExportedSet, 'tags' | 'changed' | 'deleted'> {
  const counts = { tags: 0, changed: 0, deleted: 0 };
  for (const { tags } of repositories) {
    for (const { digest, mine } of tags) {
      if (digest !== null) counts.tags += 1;
      if (mine > exported) counts[digest === null ? 'deleted' : 'changed'] += 1;
    }
  }
  return counts;
}

/** Writes into the book that a set was exported: what it carried, its versions of tags, and last the set itself. */
export async function recordSet(
  metadata: Metadata,
  peer: PeerRecord,
  { set, list, digest }: { set: ExportedSet; list: ArchiveList; digest: string },
): Promise<void> {
  const { target, number, ...counts } = set;
  const record: SetRecord = { ...counts, created: list.created, epoch: list.sender.epoch, list: digest };
  for (let at = 0; at < list.content.length; at += BATCH) {
    const batch = list.content.slice(at, at + BATCH);
    await metadata.write(batch.flatMap((one) => put.carried(target, one.digest, number)));
  }
  for (const { name, tags } of list.repositories) {
    for (let at = 0; at < tags.length; at += BATCH) {
      const changes = tags
        .slice(at, at + BATCH)
        .flatMap(({ tag, digest: to, mine, theirs }) =>
          putVersion(target, name, tag, { digest: to ?? undefined, version: { mine, theirs } }),
        );
      await metadata.write(changes);
    }
  }
  const { pending: _, ...rest } = peer;
  await metadata.write([
    ...drop.archiveSet(target, number - MAX_SETS),
    ...put.archiveSet(target, number, record),
    ...put.peer(target, { ...rest, exported: number, list: digest }),
  ]);
}
