import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import type { ByteReader } from '#proto/volume/volume.ts';
import { FOOTER_BYTES, parseFooter, type TocPlace } from './footer.ts';
import { OddLayer } from './odd-layer.ts';
import { SegmentCutter, type Segments } from './segments.ts';
import { TocEntries } from './toc-entries.ts';

/** Max size of a table of contents, in bytes. It is read in parts. */
const MAX_CONTENT = 160 * 1024 * 1024;
/** Max window of its compression, as a power of two: memory for it. */
const MAX_WINDOW_LOG = 25;
const READ_BYTES = 256 * 1024;
/** Of eStargz, the table is the one file of a tar. */
const TAR_HEADER = 512;
const TAR_NAME = 'stargz.index.json\0';

/** @returns undefined if the layer has no table of contents */
export async function locateToc(layer: ByteReader, size: number): Promise<TocPlace | undefined> {
  const tail = Buffer.alloc(Math.min(FOOTER_BYTES, size));
  const bytes = await layer.read(tail, size - tail.length);
  return bytes === tail.length ? parseFooter(tail, size) : undefined;
}

/**
 * Reads the table of contents of a layer, whose bytes from `toc.start` on are there.
 * @throws OddLayer
 */
export async function readSegments(
  layer: ByteReader,
  { compression, toc, end }: TocPlace,
  signal: AbortSignal,
): Promise<Segments> {
  const cutter = new SegmentCutter(end);
  const entries = new TocEntries();
  const decompress =
    compression === 'gzip'
      ? createGunzip()
      : createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } });
  let header = compression === 'gzip' ? Buffer.alloc(0) : undefined;
  let content = 0;
  try {
    await pipeline(Readable.from(bytesOf(layer, toc.start, toc.end)), decompress, async (source) => {
      for await (const part of source as AsyncIterable<Buffer>) {
        signal.throwIfAborted();
        content += part.length;
        if (content > MAX_CONTENT) throw new OddLayer('its table of contents is too large');
        let text = part;
        if (header) {
          header = Buffer.concat([header, part]);
          if (header.length < TAR_HEADER) continue;
          if (header.toString('latin1', 0, TAR_NAME.length) !== TAR_NAME)
            throw new OddLayer('its table of contents has another name');
          text = header.subarray(TAR_HEADER);
          header = undefined;
        }
        for (const entry of entries.add(text)) cutter.add(entry);
      }
    });
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof OddLayer
      ? error
      : new OddLayer('its table of contents can not be decompressed', { cause: error });
  }
  return cutter.finish();
}

async function* bytesOf(layer: ByteReader, start: number, end: number): AsyncGenerator<Buffer> {
  for (let at = start; at < end; ) {
    const part = Buffer.allocUnsafe(Math.min(READ_BYTES, end - at));
    if ((await layer.read(part, at)) < part.length) throw new OddLayer('its table of contents is cut off');
    yield part;
    at += part.length;
  }
}
