import { ByteCursor } from './byte-cursor.ts';
import { logParts } from './log-records.ts';

/** A table in the manifest. Keys are without the suffix that LevelDB adds (`userKey`). */
export type Table = { number: number; size: number; smallest: string; largest: string };

/** The parts of a database, according to LevelDB's manifest. */
export type DatabaseManifest = {
  log: number;
  previousLog: number;
  lastSequence: number;
  tables: Table[];
  /** The last record seems to be cut off. */
  cut: boolean;
};

/** Fields set by the version edits read so far. */
type Edits = Partial<Omit<DatabaseManifest, 'tables' | 'cut'>> & { nextFile?: number };

/** Tags of the fields of a version edit (db/version_edit.cc). */
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
 * As in LevelDB, a cut-off end is not damage. But CURRENT names a manifest only once it has all fields that opening the
 * database needs (db/version_set.cc, `LogAndApply` and `Recover`), so a manifest without them is damaged.
 * @returns undefined if any part is damaged
 */
export function parseDatabaseManifest(file: Uint8Array): DatabaseManifest | undefined {
  const edits: Edits = {};
  let cut = false;
  const tables = new Map<number, Table>();
  try {
    for (const part of logParts(file)) {
      if (part.kind === 'cut') {
        cut = true;
        break;
      }
      if (part.kind === 'damage') {
        // Zeros are space that was allocated and never written.
        if (file.subarray(part.offset, part.offset + part.length).some((byte) => byte !== 0))
          return undefined;
        continue;
      }
      apply(new ByteCursor(part.bytes), edits, tables);
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  const { log, previousLog = 0, lastSequence, nextFile } = edits;
  if (log === undefined || lastSequence === undefined || nextFile === undefined) return undefined;
  return { log, previousLog, lastSequence, tables: [...tables.values()], cut };
}

function apply(cursor: ByteCursor, edits: Edits, tables: Map<number, Table>): void {
  while (!cursor.done) {
    const tag = cursor.varint();
    if (tag === TAG.comparator) cursor.prefixed();
    else if (tag === TAG.log) edits.log = cursor.varint();
    else if (tag === TAG.previousLog) edits.previousLog = cursor.varint();
    else if (tag === TAG.nextFile) edits.nextFile = cursor.varint();
    else if (tag === TAG.lastSequence) edits.lastSequence = cursor.varint();
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
    } else throw new RangeError('unknown field');
  }
}

/** Drops the last eight bytes: sequence number and type. */
const userKey = (cursor: ByteCursor): string =>
  Buffer.from(cursor.prefixed()).subarray(0, -8).toString('utf8');
