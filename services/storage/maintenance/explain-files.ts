import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ingestFiles, ingestPath, QUARANTINE } from '#proto/volume/layout.ts';
import { abandonedMs } from '../content/ingests.ts';
import type { HeldTotals } from './held-totals.ts';
import type { Sweep } from './sweep.ts';
import { quarantineLeftMs } from './sweep-files.ts';

/** Counts files that garbage collection leaves although they are no content: of ingests, quarantine and a backup. */
export async function heldFiles(sweep: Sweep, totals: HeldTotals): Promise<void> {
  const { metadata, store, data, rules, now } = sweep;
  const after = { upload: rules.uploadsMs, transfer: rules.transfersMs };
  for await (const [id, record] of metadata.ingests()) {
    const isUpload = record.purpose === 'upload';
    const leftMs = record.touched + abandonedMs(record, after) - now();
    const bytes = await bytesAt(ingestFiles(join(data, ingestPath(id))).data);
    totals.add(isUpload ? 'upload' : 'download', bytes, Math.max(0, leftMs));
  }
  const folder = join(data, QUARANTINE);
  for (const name of await readdir(folder).catch(() => [])) {
    const leftMs = await quarantineLeftMs(sweep, folder, name);
    if (leftMs !== undefined)
      totals.add('quarantine', await bytesAt(join(folder, name)), Math.max(0, leftMs));
  }
  const { current } = store.hold;
  if (current && current.files > 0) totals.add('backup', 0, undefined, current.files);
}

/** Bytes that a file takes on the disk: one that is written at several places may have holes. */
async function bytesAt(path: string): Promise<number> {
  const stats = await stat(path).catch(() => undefined);
  return stats ? Math.min(stats.size, stats.blocks * 512) : 0;
}
