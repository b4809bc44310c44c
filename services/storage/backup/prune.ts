import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { algorithms, BLOBS } from '#proto/volume/layout.ts';
import { DigestSet } from '../maintenance/digest-set.ts';
import { syncFolder } from '../metadata/metadata-state.ts';
import { contentPath, dumpPath, LISTS, listPath } from './target/backup-format.ts';
import { openSource } from './target/backup-source.ts';
import { contentOf, readDump } from './target/dump.ts';
import type { TargetLock } from './target/target-lock.ts';

export type Pruned = { backups: string[]; kept: number; blobs: number; bytes: number };

/**
 * Deletes all backups but the last `keep`, and content that none of these has. In this order: their lists, then their
 * metadata and content, so that an interrupted run leaves no backup that lacks something. Memory: 32 bytes for each
 * blob.
 * @param lock of the target, held
 * @param made a backup that stays: the clock may have been set back, and then others have later names
 * @throws Fault `malformed` if the metadata of a kept backup can't be read: no content is deleted then
 */
export async function pruneBackups(
  path: string,
  keep: number,
  lock: TargetLock,
  { signal, made }: { signal?: AbortSignal; made?: string } = {},
): Promise<Pruned> {
  await using source = await openSource(path);
  const ids = await source.ids();
  const old = ids.filter((id) => id !== made).slice(0, Math.max(0, ids.length - keep));
  const kept = ids.filter((id) => !old.includes(id));
  // First: a backup that can't be read must not cost others their content.
  const named = new DigestSet();
  for (const id of kept) {
    const { dump } = await source.list(id);
    for await (const line of readDump(await source.dump(id), dump)) {
      const content = contentOf(line);
      if (content) named.add(content.digest);
      signal?.throwIfAborted();
    }
  }
  await lock.mustHold();
  for (const id of old) await rm(join(path, listPath(id)));
  await syncFolder(join(path, LISTS));
  for (const id of old) await rm(join(path, dumpPath(id)), { force: true });
  const pruned: Pruned = { backups: old, kept: kept.length, blobs: 0, bytes: 0 };
  for await (const { digest, size } of contentIn(path)) {
    signal?.throwIfAborted();
    if (named.has(digest)) continue;
    if (pruned.blobs % 1_000 === 0) await lock.mustHold();
    await rm(join(path, contentPath(digest)), { force: true });
    pruned.blobs += 1;
    pruned.bytes += size;
  }
  return pruned;
}

async function* contentIn(path: string): AsyncGenerator<{ digest: string; size: number }> {
  for (const algorithm of algorithms) {
    for (const folder of await entries(join(path, BLOBS, algorithm))) {
      for (const hex of await entries(join(path, BLOBS, algorithm, folder))) {
        const found = await stat(join(path, BLOBS, algorithm, folder, hex)).catch(() => undefined);
        if (found) yield { digest: `${algorithm}:${hex}`, size: found.size };
      }
    }
  }
}

async function entries(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}
