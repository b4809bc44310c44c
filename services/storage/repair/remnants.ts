import { Cursor } from '../leveldb/cursor.ts';

/** An entry of LevelDB's that stands in damaged bytes; `value` where it can be read as one. */
export type Remnant = { key: string; deleted: boolean; value?: unknown };

const KEY = /^[a-z]![\x21-\x7e]{1,600}$/;
const DELETION = 0;
const VALUE = 1;
/** Of one repair. */
export const MAX_REMNANTS = 100_000;

/**
 * What entries damaged bytes of a log seem to hold: names of what may be lost, and hints at what it was. None of it is
 * believed without content that bears it out. Pure.
 */
export function remnantsIn(bytes: Uint8Array): Remnant[] {
  const found: Remnant[] = [];
  for (let at = 0; at < bytes.length && found.length < MAX_REMNANTS; ) {
    const entry = entryAt(bytes, at);
    if (entry) found.push(entry.remnant);
    at = entry?.end ?? at + 1;
  }
  return found;
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
