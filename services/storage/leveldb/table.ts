import { crc32c, masked } from './crc32c.ts';
import { Cursor } from './cursor.ts';
import { uncompressed } from './snappy.ts';

/** LevelDB's tables (doc/table_format.md): blocks, each with its type and a checksum behind it, an index and a footer. */

const FOOTER = 48;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
const TRAILER = 5;
const SNAPPY = 1;
/** An index of a table of some MiB has some 100 KiB. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024;

export type Block = { offset: number; size: number };

/** Blocks of a table whose checksum is wrong; `whole`: the table can't be read at all, as its index or footer is gone. */
export type TableDamage = { whole: true } | { whole: false; blocks: Block[] };

/** @returns undefined where all of it is as it was written */
export function damageOf(table: Uint8Array): TableDamage | undefined {
  const blocks = blocksOf(table);
  if (!blocks) return { whole: true };
  const damaged = blocks.filter((block) => !isSound(table, block));
  return damaged.length > 0 ? { whole: false, blocks: damaged } : undefined;
}

/** Where the type of a block stands. */
export const typeAt = ({ offset, size }: Block): number => offset + size;

/** All but the index itself; undefined where that can't be read. */
function blocksOf(table: Uint8Array): Block[] | undefined {
  if (table.length < FOOTER || !MAGIC.equals(table.subarray(-MAGIC.length))) return undefined;
  try {
    const footer = new Cursor(table, table.length - FOOTER);
    const meta = handle(footer);
    const index = handle(footer);
    if (!isSound(table, index)) return undefined;
    // What the meta index names is no data, and rarely read: damaged, LevelDB does without it.
    return [
      ...handlesIn(contentOf(table, index)),
      ...(isSound(table, meta) ? handlesIn(contentOf(table, meta)) : []),
      meta,
    ];
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function isSound(table: Uint8Array, block: Block): boolean {
  const end = typeAt(block) + 1;
  if (end + TRAILER - 1 > table.length) return false;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  return view.getUint32(end, true) === masked(crc32c(table, block.offset, end));
}

function contentOf(table: Uint8Array, block: Block): Uint8Array {
  const bytes = table.subarray(block.offset, typeAt(block));
  return table[typeAt(block)] === SNAPPY ? uncompressed(bytes, MAX_INDEX_BYTES) : bytes;
}

/** A block is of entries that share the beginnings of their keys, and ends with a list of restarts; values are handles. */
function handlesIn(block: Uint8Array): Block[] {
  const restarts = new Cursor(block, block.length - 4).fixed32();
  const entries = block.subarray(0, block.length - 4 * (restarts + 1));
  const found: Block[] = [];
  for (const cursor = new Cursor(entries); !cursor.done; ) {
    cursor.varint();
    const [unshared, length] = [cursor.varint(), cursor.varint()];
    cursor.take(unshared);
    found.push(handle(new Cursor(cursor.take(length))));
  }
  return found;
}

const handle = (cursor: Cursor): Block => ({ offset: cursor.varint(), size: cursor.varint() });
