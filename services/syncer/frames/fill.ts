import { crc32 } from 'node:zlib';
import type { Chunk } from '#proto/volume/chunk-log.ts';
import type { IngestFile } from '#proto/volume/volume.ts';
import { type Extent, Extents } from '../link/answers/extents.ts';
import type { CopiedBytes } from './copied-bytes.ts';
import { OddLayer } from './odd-layer.ts';

/** Max bytes of a copied chunk, and of a write. */
const MAX_BYTES = 1024 * 1024;

/** The file of a transfer, and its chunk log. */
export type Ingest = {
  file: IngestFile;
  log: {
    readonly chunks: readonly Chunk[];
    appendAll(chunks: readonly Chunk[]): Promise<void>;
    sync(): Promise<void>;
  };
};

/**
 * Writes the bytes that other layers have into the ingest, and logs them as chunks: the rest of the transfer does not
 * differ from one that was interrupted.
 * @returns bytes that were missing before
 */
export async function fill(
  { file, log }: Ingest,
  copied: CopiedBytes,
  rows: readonly Extent[],
  signal: AbortSignal,
): Promise<number> {
  const present = new Extents(log.chunks);
  let filled = 0;
  for (const batch of batchesOf(rows, present)) {
    signal.throwIfAborted();
    const start = batch[0]?.start ?? 0;
    // What lies between is missing, too: what is written there does not count, as it is not logged.
    const bytes = Buffer.alloc((batch.at(-1)?.end ?? start) - start);
    const chunks: Chunk[] = [];
    for (const part of batch) {
      const content = bytes.subarray(part.start - start, part.end - start);
      if (!(await copied.read(content, part.start)))
        throw new OddLayer('a layer that it resembles was cut off');
      chunks.push({ ...part, crc: crc32(content), by: 'frames' });
      filled += content.length;
    }
    await file.write([bytes], start);
    await log.appendAll(chunks);
  }
  await file.sync();
  await log.sync();
  return filled;
}

/** The missing parts of the rows, in batches of `MAX_BYTES` at most between which nothing is present. */
function* batchesOf(rows: readonly Extent[], present: Extents): Generator<Extent[]> {
  let batch: Extent[] = [];
  for (const part of partsOf(rows, present)) {
    const start = batch[0]?.start ?? part.start;
    if (batch.length > 0 && (part.end - start > MAX_BYTES || present.next(start) < part.end)) {
      yield batch;
      batch = [];
    }
    batch.push(part);
  }
  if (batch.length > 0) yield batch;
}

function* partsOf(rows: readonly Extent[], present: Extents): Generator<Extent> {
  for (const row of rows) {
    for (const gap of present.missing(row.end, row.start)) {
      for (let start = gap.start; start < gap.end; start += MAX_BYTES)
        yield { start, end: Math.min(gap.end, start + MAX_BYTES) };
    }
  }
}
