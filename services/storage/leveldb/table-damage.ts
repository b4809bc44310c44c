import { ByteCursor } from './byte-cursor.ts';
import { crc32c, masked } from './crc32c.ts';
import { uncompressed } from './snappy.ts';

/** LevelDB's tables (doc/table_format.md): blocks, each followed by its type and a checksum, an index and a footer. */

const FOOTER = 48;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
/** Bytes after each block: its type and its checksum. */
const TRAILER = 5;
const SNAPPY = 1;
/** Max size of a decompressed index, in bytes. The index of a table of a few MiB has about 100 KiB. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024;

export type Block = { offset: number; size: number };

/** Blocks with a wrong checksum; `unreadable`: the table can't be read at all, as its index or footer is damaged. */
export type TableDamage = { unreadable: true } | { unreadable: false; blocks: Block[] };

/** @returns undefined if the table is intact */
export function damageOf(table: Uint8Array): TableDamage | undefined {
  const blocks = blocksOf(table);
  if (!blocks) return { unreadable: true };
  const damaged = blocks.filter((block) => !isIntact(table, block));
  return damaged.length > 0 ? { unreadable: false, blocks: damaged } : undefined;
}

/** Offset of the type of a block. */
export const typeAt = ({ offset, size }: Block): number => offset + size;

/** All blocks but the index; undefined if the index can't be read. */
function blocksOf(table: Uint8Array): Block[] | undefined {
  if (table.length < FOOTER || !MAGIC.equals(table.subarray(-MAGIC.length))) return undefined;
  try {
    const footer = new ByteCursor(table, table.length - FOOTER);
    const meta = handle(footer);
    const index = handle(footer);
    if (!isIntact(table, index)) return undefined;
    // The blocks that the meta index names have no data and are rarely read. LevelDB works without a meta index, so a
    // damaged one does not hide the data blocks.
    return [
      ...handlesIn(contentOf(table, index)),
      ...(isIntact(table, meta) ? handlesIn(contentOf(table, meta)) : []),
      meta,
    ];
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function isIntact(table: Uint8Array, block: Block): boolean {
  const end = typeAt(block) + 1;
  if (end + TRAILER - 1 > table.length) return false;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  return view.getUint32(end, true) === masked(crc32c(table, block.offset, end));
}

function contentOf(table: Uint8Array, block: Block): Uint8Array {
  const bytes = table.subarray(block.offset, typeAt(block));
  return table[typeAt(block)] === SNAPPY ? uncompressed(bytes, MAX_INDEX_BYTES) : bytes;
}

/** Handles in an index block: the values of entries with prefix-compressed keys. A list of restarts ends the block. */
function handlesIn(block: Uint8Array): Block[] {
  const restarts = new ByteCursor(block, block.length - 4).fixed32();
  const entries = block.subarray(0, block.length - 4 * (restarts + 1));
  const handles: Block[] = [];
  for (const cursor = new ByteCursor(entries); !cursor.done; ) {
    cursor.varint();
    const [unshared, length] = [cursor.varint(), cursor.varint()];
    cursor.take(unshared);
    handles.push(handle(new ByteCursor(cursor.take(length))));
  }
  return handles;
}

const handle = (cursor: ByteCursor): Block => ({ offset: cursor.varint(), size: cursor.varint() });
