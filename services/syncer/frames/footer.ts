import type { Extent } from '../link/answers/extents.ts';

/**
 * Where the table of contents of a layer is.
 *
 * zstd:chunked ends with a skippable frame of 40 or 64 bytes: position, length and uncompressed length of the table,
 * its type (1), the position of the tar-split data (64 only), and a magic word; all as little-endian numbers of 64
 * bits. eStargz ends with an empty gzip member of 51 bytes, whose extra field has the position of the table in
 * hexadecimal.
 */
export type TocPlace = {
  compression: 'zstd' | 'gzip';
  /** Of the compressed table. */
  toc: Extent;
  /** End of the frames: what follows is different in each layer. */
  end: number;
};

/** Max size of a footer with its frame, in bytes. */
export const FOOTER_BYTES = 72;
/** Max size of a compressed table, in bytes. That of a layer with 100,000 files has 8 MiB. */
const MAX_TOC_BYTES = 32 * 1024 * 1024;

const SKIPPABLE = 0x184d2a50;
const FRAME_HEADER = 8;
/** The second one is that of older writers. */
const MAGICS = ['GNUlInUx', 'GnUlInUx'];
const CRFS = 1n;
const ESTARGZ_BYTES = 51;
/** Of its gzip header: an extra field follows. */
const GZIP_WITH_EXTRA = 0x04088b1f;
/** Offset and value of that field: 26 bytes, one subfield SG of 22. */
const EXTRA = 10;
const EXTRA_BEGINS = Buffer.from('1a0053471600', 'hex');
const POSITION = /^([0-9a-f]{16})STARGZ$/;

/**
 * Pure.
 * @param tail the last `FOOTER_BYTES` of the layer
 * @param size of the layer
 * @returns undefined if the layer has no table, or one that can't be where the footer says
 */
export function parseFooter(tail: Buffer, size: number): TocPlace | undefined {
  const place = zstdFooter(tail, size) ?? gzipFooter(tail, size);
  if (!place) return undefined;
  const { toc, end } = place;
  const isPossible = 0 < end && end <= toc.start && toc.start < toc.end && toc.end < size;
  return isPossible && toc.end - toc.start <= MAX_TOC_BYTES ? place : undefined;
}

function zstdFooter(tail: Buffer, size: number): TocPlace | undefined {
  if (!MAGICS.includes(tail.toString('latin1', tail.length - 8))) return undefined;
  for (const length of [40, 64]) {
    const frame = tail.subarray(-(length + FRAME_HEADER));
    if (frame.length < length + FRAME_HEADER) continue;
    if (frame.readUInt32LE(0) !== SKIPPABLE || frame.readUInt32LE(4) !== length) continue;
    const field = (index: number) => Number(frame.readBigUInt64LE(FRAME_HEADER + 8 * index));
    if (frame.readBigUInt64LE(FRAME_HEADER + 24) !== CRFS) return undefined;
    const [start, bytes] = [field(0), field(1)];
    const tarSplit = length === 64 ? field(4) : 0;
    const first = tarSplit > 0 ? Math.min(start, tarSplit) : start;
    const toc = { start, end: start + bytes };
    if (toc.end > size - frame.length) return undefined;
    return { compression: 'zstd', toc, end: first - FRAME_HEADER };
  }
  return undefined;
}

function gzipFooter(tail: Buffer, size: number): TocPlace | undefined {
  const member = tail.subarray(-ESTARGZ_BYTES);
  const at = EXTRA + EXTRA_BEGINS.length;
  if (member.length < ESTARGZ_BYTES || member.readUInt32LE(0) !== GZIP_WITH_EXTRA) return undefined;
  if (!member.subarray(EXTRA, at).equals(EXTRA_BEGINS)) return undefined;
  const position = POSITION.exec(member.toString('latin1', at, at + 22))?.[1];
  if (position === undefined) return undefined;
  const start = Number.parseInt(position, 16);
  return { compression: 'gzip', toc: { start, end: size - ESTARGZ_BYTES }, end: start };
}
