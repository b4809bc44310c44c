import { Cursor } from '../leveldb/cursor.ts';
import { HEADER } from '../leveldb/log-records.ts';

/** An entry of LevelDB's that stands in damaged bytes; `value` where it can be read as one. */
export type Remnant = { key: string; deleted: boolean; value?: unknown };

const KEY = /^[a-z]![\x21-\x7e]{1,600}$/;
const DELETION = 0;
const VALUE = 1;
/** Of one repair. */
export const MAX_REMNANTS = 100_000;

/** `complete`: all entries that stood there can be made out, be they what they were or not. */
export type Remnants = { entries: Remnant[]; complete: boolean };

/**
 * What entries damaged bytes of a log seem to hold: names of what may be lost, and hints at what it was. None of it is
 * believed without content that bears it out. Pure.
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

/** Of a batch: its sequence; how many entries it has stands behind that. */
const SEQUENCE = 8;

/** Whether there are batches from end to end, each of them in one record, and with as many entries as it says. */
function isComplete(bytes: Uint8Array): boolean {
  try {
    const cursor = new Cursor(bytes);
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
    const cursor = new Cursor(bytes, at + 1);
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

function valueAt(cursor: Cursor): { value?: unknown } {
  try {
    return { value: JSON.parse(textOf(cursor.prefixed())) };
  } catch {
    return {};
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
