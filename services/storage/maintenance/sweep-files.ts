import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDigest } from '#proto/oci/names.ts';
import { algorithms, BLOBS, QUARANTINE } from '#proto/volume/layout.ts';
import type { Sweep } from './sweep.ts';

/** How long damaged content is kept for whoever wants to look at it, in ms. */
const QUARANTINE_MS = 30 * 24 * 60 * 60 * 1000;

/** Removes files in the place of blobs that have no record: a crash left them there. */
export async function sweepStrays(sweep: Sweep): Promise<void> {
  const { metadata, store, data, rules, now } = sweep;
  for (const algorithm of algorithms) {
    for (const folder of await entries(join(data, BLOBS, algorithm))) {
      const names = await entries(join(data, BLOBS, algorithm, folder));
      const digests = names.map((name) => `${algorithm}:${name}`).filter(isDigest);
      const records = await metadata.blobs(digests);
      for (const digest of digests.filter((_, i) => !records[i])) {
        const found = await lookAt(store.file(digest));
        if (found && found.changed + rules.graceMs <= now()) await removeStray(sweep, digest, found.size);
      }
    }
  }
}

async function removeStray(sweep: Sweep, digest: string, size: number): Promise<void> {
  const { metadata, store, locks, found, dry } = sweep;
  await locks.run(`blob ${digest}`, async () => {
    if (await metadata.blob(digest)) return;
    // A commit that failed half-way: a start gives the ingest its bytes back.
    for await (const [, { placing }] of metadata.ingests()) if (placing === digest) return;
    found.strays += 1;
    found.bytes += size;
    if (!dry) await store.remove(digest);
  });
}

export async function emptyQuarantine({ data, now }: Sweep): Promise<void> {
  const folder = join(data, QUARANTINE);
  for (const name of await entries(folder)) {
    const path = join(folder, name);
    const found = await lookAt(path);
    if (found && found.changed + QUARANTINE_MS <= now()) await rm(path, { force: true });
  }
}

async function entries(folder: string): Promise<string[]> {
  return readdir(folder).catch(unlessMissing([]));
}

/** `changed` is when it came to where it is, in ms since 1970. */
async function lookAt(path: string): Promise<{ size: number; changed: number } | undefined> {
  const found = await stat(path).catch(unlessMissing(undefined));
  return found && { size: found.size, changed: found.ctimeMs };
}

const unlessMissing =
  <T>(instead: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === 'ENOENT') return instead;
    throw error;
  };
