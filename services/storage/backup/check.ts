import { createHash } from 'node:crypto';
import { splitDigest } from '#proto/oci/names.ts';
import type { BackupList } from './target/backup-format.ts';
import type { BackupSource } from './target/backup-source.ts';
import type { Content } from './target/copy-content.ts';
import { hashOnDisk } from './target/direct-read.ts';
import { contentOf, readDump } from './target/dump.ts';
import type { Pace } from './target/pace.ts';

/** Max digests that are named. */
const MAX_NAMED = 1_000;

/** `damaged`: content whose bytes are wrong or missing, without what the layer itself lacked. */
export type CheckedBackup = {
  id: string;
  at: number;
  records: number;
  blobs: number;
  bytes: number;
  damaged: { blobs: number; first: string[] };
  readBack: 'disk' | 'cache';
};

/**
 * Reads back all of a backup.
 * @throws Fault `malformed` if its metadata are damaged
 */
export async function checkBackup(
  source: BackupSource,
  list: BackupList,
  pace: Pace,
  onContent: (content: Content) => void = () => {},
): Promise<CheckedBackup> {
  const { id, at, dump, content, missing } = list;
  const result: CheckedBackup = {
    ...{ id, at, records: dump.records, blobs: content.blobs, bytes: content.bytes },
    damaged: { blobs: 0, first: [] },
    readBack: 'disk',
  };
  const isKnownMissing = new Set(missing.first);
  const sum = createHash('sha256');
  for await (const line of readDump(await source.dump(id), dump)) {
    const wanted = contentOf(line);
    if (!wanted) continue;
    const { digest, size } = wanted;
    sum.update(`${digest} ${size}\n`);
    const [algorithm, hex] = splitDigest(digest);
    const place = await source.content(digest);
    const read = place && (await hashOnDisk(place, algorithm, pace));
    if (read && !read.direct) result.readBack = 'cache';
    if (read?.hex !== hex && !isKnownMissing.has(digest)) {
      result.damaged.blobs += 1;
      if (result.damaged.first.length < MAX_NAMED) result.damaged.first.push(digest);
    }
    onContent(wanted);
  }
  // The list and the metadata are each as they were written: this fails only if they do not belong together.
  if (sum.digest('hex') !== content.sha256) result.damaged.blobs = Math.max(1, result.damaged.blobs);
  return result;
}
