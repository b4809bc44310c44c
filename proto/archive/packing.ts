import type { Piece } from './list.ts';
import { OCI_INDEX, OCI_LAYOUT, OCI_LAYOUT_TEXT } from './oci-index.ts';
import { END_BYTES, entryBytes, fileHeader, layoutPath, padding } from './tar.ts';

/** Decides what goes into which part. Pure, and the same for the same content in the same order. */

/** Content to carry. `indexBytes`: what it adds to the `index.json` of its part, at most. */
export type PackedItem = { digest: string; size: number; indexBytes: number };

/** A file of a part. `from`: where its bytes begin in the content; `piece`: its number, if the content is split. */
export type PartEntry = { digest: string; from: number; size: number; piece?: number };

/** A part is `oci-layout`, these files, and `index.json`. `bytes`: its size, at most. */
export type PackedPart = { entries: PartEntry[]; bytes: number };

export type Packing = { parts: PackedPart[]; pieces: Map<string, Piece[]> };

/** Bytes of a part in front of its first file. */
const HEAD_BYTES = entryBytes(OCI_LAYOUT, OCI_LAYOUT_TEXT.length);
/** Bytes of a part without any content, but for the descriptors in its `index.json`. */
const FRAME_BYTES = HEAD_BYTES + entryBytes(OCI_INDEX, 0) + 1_024 + END_BYTES;

/** Min size of a part that can be configured, in bytes. */
export const MIN_PART_BYTES = 64 * 1024;

/**
 * Fills one part after the other. Content that no part has room for is split over parts of its own, except that what
 * follows it may share the last one.
 * @param maxBytes max size of a part; no part exceeds it, unless the names of one manifest alone do
 */
export function pack(items: Iterable<PackedItem>, maxBytes: number): Packing {
  const parts: PackedPart[] = [];
  const pieces = new Map<string, Piece[]>();
  let offset = 0;
  let reserved = 0;
  const open = () => {
    parts.push({ entries: [], bytes: 0 });
    offset = HEAD_BYTES;
    reserved = FRAME_BYTES - HEAD_BYTES;
  };
  const room = () => maxBytes - offset - reserved;
  const add = (entry: PartEntry, index: number) => {
    const path = layoutPath(entry.digest, entry.piece);
    const header = fileHeader(path, entry.size).byteLength;
    const part = parts.length - 1;
    const known = pieces.get(entry.digest) ?? [];
    known.push({ part, offset: offset + header, size: entry.size });
    pieces.set(entry.digest, known);
    offset += header + entry.size + padding(entry.size);
    reserved += index;
    const packed = parts[part] as PackedPart;
    packed.entries.push(entry);
    packed.bytes = offset + reserved;
  };
  for (const { digest, size, indexBytes } of items) {
    const needed = entryBytes(layoutPath(digest), size) + indexBytes;
    if (parts.length === 0 || (needed > room() && (parts.at(-1)?.entries.length ?? 0) > 0)) open();
    if (needed <= room()) {
      add({ digest, from: 0, size }, indexBytes);
      continue;
    }
    let from = 0;
    for (let piece = 1; from < size; piece += 1) {
      if (piece > 1) open();
      const header = fileHeader(layoutPath(digest, piece), size).byteLength;
      // In complete blocks, so that the padding of a piece takes no room.
      const fitting = Math.floor((room() - header - indexBytes) / 512) * 512;
      const length = Math.min(size - from, Math.max(512, fitting));
      add({ digest, from, size: length, piece }, indexBytes);
      from += length;
    }
  }
  return { parts, pieces };
}
