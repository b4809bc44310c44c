import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { MAX_MANIFEST_BYTES } from '#proto/oci/manifest.ts';
import { isDigest, splitDigest } from '#proto/oci/names.ts';
import { algorithms, BLOBS } from '#proto/volume/layout.ts';
import { BlobStore, digestOf, sizeOf } from '../content/blob-store.ts';
import { put } from '../metadata/batch-changes.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import type { BlobRecord } from '../metadata/records.ts';
import type { RebuiltRecords } from './rebuilt-records.ts';
import { addLine, type RepairReport } from './repair-report.ts';

/**
 * Makes blob records and blob files agree. A file without a record is hashed, and gets a record if it matches its name.
 * A record whose file is missing or has another size is marked as damaged, so that the content is provided again.
 * @returns digests of blobs that may be manifests
 */
export async function checkBlobs(
  records: RebuiltRecords,
  data: string,
  report: RepairReport,
): Promise<Set<string>> {
  const store = new BlobStore(data);
  const candidates = new Set<string>();
  for await (const digest of filesOf(data)) {
    const record = await records.get<BlobRecord>(keys.blob(digest));
    const size = sizeOf(store.file(digest));
    if (size === undefined || (record && record.size !== size)) continue;
    if (!record) {
      if (!(await isIntact(store.file(digest), digest))) {
        addLine(report.lost, `content ${digest}: its file does not match the digest`);
        continue;
      }
      await records.write(put.blob(digest, { size }));
      addLine(report.restored, `content ${digest}, ${formatBytes(size)}`);
    }
    if (size <= MAX_MANIFEST_BYTES && (await beginsAnObject(store.file(digest)))) candidates.add(digest);
  }
  for await (const [digest, { size }] of records.entries<BlobRecord>(prefix(kinds.blob))) {
    if (sizeOf(store.file(digest)) === size) continue;
    await records.write(put.damaged(digest, { size, since: Date.now() }));
    addLine(
      report.lost,
      `content ${digest}, ${formatBytes(size)}: until the parent or a client supplies it again`,
    );
  }
  return candidates;
}

async function* filesOf(data: string): AsyncGenerator<string> {
  for (const algorithm of algorithms) {
    const root = join(data, BLOBS, algorithm);
    for (const folder of await namesIn(root)) {
      for (const name of await namesIn(join(root, folder))) {
        const digest = `${algorithm}:${name}`;
        if (isDigest(digest)) yield digest;
      }
    }
  }
}

const namesIn = (folder: string): Promise<string[]> =>
  readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [] as string[];
    throw error;
  });

async function isIntact(path: string, digest: string): Promise<boolean> {
  try {
    await using file = await open(path, 'r');
    return (await digestOf(file, splitDigest(digest)[0])).digest === digest;
  } catch (error) {
    if (['ENOENT', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

async function beginsAnObject(path: string): Promise<boolean> {
  try {
    await using file = await open(path, 'r');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
    return buffer.subarray(0, bytesRead).toString('latin1').trimStart().startsWith('{');
  } catch (error) {
    if (['ENOENT', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
