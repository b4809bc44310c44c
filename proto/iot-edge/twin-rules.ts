/**
 * Limits of IoT Hub for the properties of a twin, desired or reported (its developer guide, "Understand and use device
 * twins", and edgeHub's ReportedPropertiesValidator). Pure.
 */

/** Max size of keys and values together, in bytes. */
const MAX_BYTES = 32 * 1024;
/** Max size of one string, in bytes. */
const MAX_TEXT = 4 * 1024;
/** Max size of one key, in bytes. */
const MAX_KEY = 1024;
const MAX_DEPTH = 10;
const MAX_INTEGER = 2 ** 52;

type Position = { path: string; depth: number; inArray: boolean };

/** @returns one sentence per complaint, each naming the path */
export function twinComplaints(properties: unknown, path: string): string[] {
  const complaints: string[] = [];
  const bytes = weigh(properties, { path, depth: 0, inArray: false }, complaints);
  if (bytes > MAX_BYTES) {
    complaints.push(`${path} has ${bytes} bytes, and a twin at most ${MAX_BYTES}: remove some of it`);
  }
  return complaints;
}

function weigh(value: unknown, position: Position, complaints: string[]): number {
  const { path, depth, inArray } = position;
  if (depth > MAX_DEPTH) {
    complaints.push(`${path} is nested deeper than ${MAX_DEPTH} levels: flatten it`);
    return 0;
  }
  if (typeof value === 'string') {
    const bytes = Buffer.byteLength(value);
    if (bytes > MAX_TEXT) complaints.push(`${path} has ${bytes} bytes: shorten it to at most ${MAX_TEXT}`);
    return bytes;
  }
  if (typeof value === 'number') {
    // Negated, so that NaN is refused too.
    if (!(value >= -MAX_INTEGER && value < MAX_INTEGER)) {
      complaints.push(`${path} is outside of ±2^52, or not a number: write it as a string`);
    }
    return 8;
  }
  if (value === null) {
    if (inArray) complaints.push(`${path} is null in a list, which edgeHub rejects: remove it`);
    return 0;
  }
  if (Array.isArray(value)) {
    const inside = (index: number) => ({ path: `${path}[${index}]`, depth: depth + 1, inArray: true });
    return value.reduce((sum: number, one, index) => sum + weigh(one, inside(index), complaints), 0);
  }
  if (typeof value === 'boolean' || value === undefined) return 4;
  if (typeof value !== 'object') {
    complaints.push(`${path} is not a JSON value: remove it`);
    return 0;
  }
  return Object.entries(value).reduce((sum, [key, one]) => {
    const at = `${path}.${key}`;
    if (key === '' || /[.$#\s\p{Cc}]/u.test(key) || Buffer.byteLength(key) > MAX_KEY) {
      complaints.push(
        `${at} has a key that a twin rejects: use no ".", "$", "#" or white space, and at most 1 KiB`,
      );
    }
    return sum + Buffer.byteLength(key) + weigh(one, { path: at, depth: depth + 1, inArray }, complaints);
  }, 0);
}
