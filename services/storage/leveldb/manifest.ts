import { Cursor } from './cursor.ts';
import { partsOf } from './log-records.ts';

/** A table as the manifest names it. Keys are without what LevelDB adds to them. */
export type Table = { number: number; size: number; smallest: string; largest: string };

/** What LevelDB's manifest says that belongs to the database. */
export type Manifest = {
  log: number;
  previousLog: number;
  lastSequence: number;
  tables: Table[];
  /** Its last change was not written to its end, as far as one can see. */
  cut: boolean;
};

/** What changes have said so far. */
type Said = Partial<Omit<Manifest, 'tables' | 'cut'>> & { nextFile?: number };

/** Of a version edit (db/version_edit.cc). */
const TAG = {
  comparator: 1,
  log: 2,
  nextFile: 3,
  lastSequence: 4,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7,
  previousLog: 9,
} as const;

/**
 * @returns undefined where any of it is damaged. An end that was not written is no damage, as LevelDB has it; but CURRENT
 * names a manifest only when all is in there that an opening needs (db/version_set.cc, `LogAndApply` and `Recover`).
 */
export function readManifest(file: Uint8Array): Manifest | undefined {
  const found: Said = {};
  let cut = false;
  const tables = new Map<number, Table>();
  try {
    for (const part of partsOf(file)) {
      if (part.kind === 'cut') {
        cut = true;
        break;
      }
      if (part.kind === 'damage') {
        // Zeros are room that was made and not written to.
        if (file.subarray(part.offset, part.offset + part.length).some((byte) => byte !== 0))
          return undefined;
        continue;
      }
      apply(new Cursor(part.bytes), found, tables);
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  const { log, previousLog = 0, lastSequence, nextFile } = found;
  if (log === undefined || lastSequence === undefined || nextFile === undefined) return undefined;
  return { log, previousLog, lastSequence, tables: [...tables.values()], cut };
}

function apply(cursor: Cursor, found: Said, tables: Map<number, Table>): void {
  while (!cursor.done) {
    const tag = cursor.varint();
    if (tag === TAG.comparator) cursor.prefixed();
    else if (tag === TAG.log) found.log = cursor.varint();
    else if (tag === TAG.previousLog) found.previousLog = cursor.varint();
    else if (tag === TAG.nextFile) found.nextFile = cursor.varint();
    else if (tag === TAG.lastSequence) found.lastSequence = cursor.varint();
    else if (tag === TAG.compactPointer) {
      cursor.varint();
      cursor.prefixed();
    } else if (tag === TAG.deletedFile) {
      cursor.varint();
      tables.delete(cursor.varint());
    } else if (tag === TAG.newFile) {
      cursor.varint();
      const [number, size] = [cursor.varint(), cursor.varint()];
      tables.set(number, { number, size, smallest: userKey(cursor), largest: userKey(cursor) });
    } else throw new RangeError('an unknown field');
  }
}

/** Eight bytes behind it are its sequence and type. */
const userKey = (cursor: Cursor): string => Buffer.from(cursor.prefixed()).subarray(0, -8).toString('utf8');
