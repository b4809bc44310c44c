import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDigest } from '#proto/oci/names.ts';
import { algorithms, BLOBS, QUARANTINE } from '#proto/volume/layout.ts';
import type { Sweep } from './sweep.ts';

/** How long quarantined content is retained for inspection, in ms. */
const QUARANTINE_MS = 30 * 24 * 60 * 60 * 1000;

/** Removes files in the blob store without a record, which a crash left there. */
export async function sweepStrays(sweep: Sweep): Promise<void> {
  const { metadata, store, data, rules, wall } = sweep;
  for (const algorithm of algorithms) {
    for (const folder of await entries(join(data, BLOBS, algorithm))) {
      const names = await entries(join(data, BLOBS, algorithm, folder));
      const digests = names.map((name) => `${algorithm}:${name}`).filter(isDigest);
      const records = await metadata.blobsByDigest(digests);
      for (const digest of digests.filter((_, i) => !records[i])) {
        const file = await fileAt(store.file(digest));
        if (file && file.changed + rules.graceMs <= wall()) await removeStray(sweep, digest, file.size);
      }
    }
  }
}

async function removeStray(sweep: Sweep, digest: string, size: number): Promise<void> {
  const { metadata, store, locks, found, dryRun } = sweep;
  await locks.run(`blob ${digest}`, async () => {
    if (await metadata.blob(digest)) return;
    // Left by a commit that failed between its steps: the next start moves the bytes back to the ingest.
    for await (const [, { placing }] of metadata.ingests()) if (placing === digest) return;
    found.strays += 1;
    found.bytes += size;
    if (!dryRun) await store.remove(digest);
  });
}

/**
 * Deletes quarantined files older than `QUARANTINE_MS`. Their name ends with the time by which content ages: that of
 * the file may be years away from it.
 */
export async function emptyQuarantine(sweep: Sweep): Promise<void> {
  const folder = join(sweep.data, QUARANTINE);
  for (const name of await entries(folder)) {
    const leftMs = await quarantineLeftMs(sweep, folder, name);
    if (leftMs !== undefined && leftMs <= 0) await rm(join(folder, name), { force: true });
  }
}

/** Time until a quarantined file is deleted, in ms; undefined if there is no such file. */
export async function quarantineLeftMs(
  { now, wall }: Sweep,
  folder: string,
  name: string,
): Promise<number | undefined> {
  const [, since] = /-(\d+)$/.exec(name) ?? [];
  const file = await fileAt(join(folder, name));
  if (!file) return undefined;
  return since ? Number(since) + QUARANTINE_MS - now() : file.changed + QUARANTINE_MS - wall();
}

async function entries(folder: string): Promise<string[]> {
  return readdir(folder).catch(unlessMissing([]));
}

/** `changed`: when the file was moved there, in ms since 1970. */
async function fileAt(path: string): Promise<{ size: number; changed: number } | undefined> {
  const stats = await stat(path).catch(unlessMissing(undefined));
  return stats && { size: stats.size, changed: stats.ctimeMs };
}

const unlessMissing =
  <T>(fallback: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === 'ENOENT') return fallback;
    throw error;
  };
