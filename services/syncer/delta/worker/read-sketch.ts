import { createReadStream } from 'node:fs';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Fault } from '#proto/contract/fault.ts';
import { gzipHeaderLength } from '#proto/delta/expansion/gzip-header.ts';
import { chunksOf } from '#proto/delta/matching/gear.ts';
import { ChunkSketch, FileSketch, type Sketch } from '../choice/sketch.ts';
import { TarFiles } from '../choice/tar-files.ts';
import { FileBytes } from './file-bytes.ts';
import type { WorkLimits } from './limits.ts';
import type { Content } from './task.ts';

const READ_BYTES = 256 * 1024;
/** Bytes of a chunk, on average. */
const CHUNK_BYTES = 16 * 1024;

export type SketchLimits = Pick<WorkLimits, 'leftMs' | 'throwIfAborted'>;
/** `minLeftMs`: time that has to be left at the end. */
export type SketchBounds = { maxContentBytes: number; minLeftMs: number };

/**
 * Reads content once: of gzip its content as far as it is a tar archive, else the bytes as they are stored. Of an
 * archive with more bytes than it may have, the sketch is empty.
 * @returns undefined if the time is too short
 * @throws Fault `blob-unknown`; those of the limits
 */
export async function readSketch(
  content: Content,
  limits: SketchLimits,
  { maxContentBytes, minLeftMs }: SketchBounds,
): Promise<Sketch | undefined> {
  using bytes = openBytes(content);
  const isGzip = gzipHeaderLength(bytes, 0) !== undefined;
  const files = new FileSketch();
  const tar = new TarFiles((path, size) => files.add(path, size));
  let left = isGzip ? maxContentBytes : Number.POSITIVE_INFINITY;
  await readTar(content.path, isGzip, limits, (piece) => {
    left -= piece.length;
    tar.add(piece);
    return !tar.isDone && left >= 0 && limits.leftMs >= minLeftMs;
  });
  if (tar.isTar && left < 0) return new FileSketch().end();
  if (limits.leftMs < minLeftMs) return undefined;
  if (tar.isTar) return files.end();
  const chunks = new ChunkSketch();
  for (const chunk of chunksOf(bytes, CHUNK_BYTES)) {
    limits.throwIfAborted();
    if (limits.leftMs < minLeftMs) return undefined;
    chunks.add(chunk.bytes);
  }
  return chunks.end();
}

/** Ends at a damaged byte, or when `add` needs no more bytes. */
async function readTar(
  path: string,
  isGzip: boolean,
  limits: SketchLimits,
  add: (piece: Buffer) => boolean,
): Promise<void> {
  const file = createReadStream(path, { highWaterMark: READ_BYTES });
  const source: Readable = isGzip ? pipeline(file, createGunzip({ chunkSize: READ_BYTES }), () => {}) : file;
  try {
    for await (const piece of source) {
      limits.throwIfAborted();
      if (!add(piece)) break;
    }
  } catch (error) {
    // Damaged content is found when it is opened as a base.
    if (Fault.is(error)) throw error;
  } finally {
    file.destroy();
  }
}

function openBytes({ digest, path }: Content): FileBytes {
  try {
    return new FileBytes(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new Fault('blob-unknown', `${digest} was deleted`, { cause, detail: { digest } });
  }
}
