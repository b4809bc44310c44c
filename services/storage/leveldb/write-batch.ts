import { ByteCursor } from './byte-cursor.ts';

/** The changes of one record of a log (db/write_batch.cc). */
export type WriteBatch = { sequence: number; count: number; changes: { key: string; deleted: boolean }[] };

const [DELETION, VALUE] = [0, 1] as const;

/** @returns undefined if the record is not a write batch */
export function readWriteBatch(record: Uint8Array): WriteBatch | undefined {
  try {
    const cursor = new ByteCursor(record);
    const sequence = cursor.fixed64();
    const count = cursor.fixed32();
    const changes: WriteBatch['changes'] = [];
    while (!cursor.done) {
      const tag = cursor.byte();
      if (tag !== VALUE && tag !== DELETION) return undefined;
      const key = Buffer.from(cursor.prefixed()).toString('utf8');
      if (tag === VALUE) cursor.prefixed();
      changes.push({ key, deleted: tag === DELETION });
    }
    return changes.length === count ? { sequence, count, changes } : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
