import { ByteCursor } from '../leveldb/byte-cursor.ts';
import { HEADER } from '../leveldb/log-records.ts';

/** A LevelDB entry found in damaged bytes; `value` if it can be parsed. */
export type Remnant = { key: string; deleted: boolean; value?: unknown };

const KEY = /^[a-zA-Z]![\x21-\x7e]{1,600}$/;
const DELETION = 0;
const VALUE = 1;
/** Max entries of one range of damaged bytes. */
export const MAX_REMNANTS = 100_000;

/** `complete`: all entries in the bytes were recognized, whether or not they are intact. */
export type Remnants = { entries: Remnant[]; complete: boolean };

/**
 * The entries that damaged bytes of a log seem to hold: names of records that may be lost, and hints at their values.
 * None of them is trusted without content that confirms it. Pure.
 */
export function remnantsIn(bytes: Uint8Array): Remnants {
  const entries: Remnant[] = [];
  for (let at = 0; at < bytes.length && entries.length < MAX_REMNANTS; ) {
    const entry = entryAt(bytes, at);
    if (entry) entries.push(entry.remnant);
    at = entry?.end ?? at + 1;
  }
  return { entries, complete: isComplete(bytes) };
}

/** Size of the sequence number of a batch, in bytes. The count of its entries follows. */
const SEQUENCE = 8;

/** Whether the bytes consist of batches from end to end, each in one record and with as many entries as its count. */
function isComplete(bytes: Uint8Array): boolean {
  try {
    const cursor = new ByteCursor(bytes);
    while (!cursor.done) {
      cursor.take(HEADER + SEQUENCE);
      for (let left = cursor.fixed32(); left > 0; left -= 1) {
        const entry = entryAt(bytes, cursor.at);
        if (!entry) return false;
        cursor.take(entry.end - cursor.at);
        if (!entry.remnant.deleted) cursor.prefixed();
      }
    }
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function entryAt(bytes: Uint8Array, at: number): { remnant: Remnant; end: number } | undefined {
  const tag = bytes[at];
  if (tag !== VALUE && tag !== DELETION) return undefined;
  try {
    const cursor = new ByteCursor(bytes, at + 1);
    const key = textOf(cursor.prefixed());
    if (!KEY.test(key)) return undefined;
    if (tag === DELETION) return { remnant: { key, deleted: true }, end: cursor.at };
    const end = cursor.at;
    return { remnant: { key, deleted: false, ...valueAt(cursor) }, end };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function valueAt(cursor: ByteCursor): { value?: unknown } {
  try {
    return { value: JSON.parse(textOf(cursor.prefixed())) };
  } catch {
    return {};
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
