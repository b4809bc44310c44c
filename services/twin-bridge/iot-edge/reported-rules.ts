import { isDeepStrictEqual } from 'node:util';
import { isMapping, type Properties } from './desired.ts';

/**
 * What a twin takes as reported properties (IoT Hub, "Understand and use device twins"; edgeHub's
 * ReportedPropertiesValidator). edgeHub refuses without a word, and what IoT Hub refuses later is never told to the
 * module: so it is looked at here. Pure.
 */

/** Bytes of JSON in all: half of what IoT Hub takes, as it counts in another way. */
export const MOST_BYTES = 16 * 1024;
const MOST_KEY = 1024;
const MOST_STRING = 4096;
const MOST_DEPTH = 10;
const MOST_INTEGER = 2 ** 52;

/** What is wrong with a value, in words, or undefined. */
export function complaintOf(key: string, value: unknown, depth = 1): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f.$#\s]/u.test(key)) {
    return `the key ${JSON.stringify(key)} has a control character, a blank, or one of . $ #`;
  }
  if (key === '' || Buffer.byteLength(key) > MOST_KEY)
    return `a key has ${MOST_KEY} bytes at most, and one at least`;
  if (depth > MOST_DEPTH) return `${key} lies deeper than ${MOST_DEPTH} levels`;
  return valueComplaint(key, value, depth);
}

function valueComplaint(key: string, value: unknown, depth: number): string | undefined {
  if (typeof value === 'string') {
    return Buffer.byteLength(value) > MOST_STRING ? `${key} is longer than ${MOST_STRING} bytes` : undefined;
  }
  if (typeof value === 'boolean') return undefined;
  if (typeof value === 'number') {
    const fits = Number.isFinite(value) && value >= -MOST_INTEGER + 1 && value <= MOST_INTEGER - 1;
    return fits ? undefined : `${key} is no number between -2^52 and 2^52`;
  }
  if (Array.isArray(value)) {
    if (hasNull(value)) return `${key} is a list with nothing in one of its places`;
    return first(value, (each) => listed(key, each, depth + 1));
  }
  if (isMapping(value)) {
    return first(Object.entries(value), ([name, each]) => complaintOf(name, each, depth + 1));
  }
  return value === null ? undefined : `${key} is nothing that JSON has`;
}

const listed = (key: string, value: unknown, depth: number): string | undefined =>
  depth > MOST_DEPTH ? `${key} lies deeper than ${MOST_DEPTH} levels` : valueComplaint(key, value, depth);

/** Also in an object inside of the list. */
const hasNull = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  (Array.isArray(value) ? value.some(hasNull) : isMapping(value) && Object.values(value).some(hasNull));

function first<T>(items: T[], complaint: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = complaint(item);
    if (found) return found;
  }
  return undefined;
}

/** The fields that a twin takes, and what is wrong with the others. */
export function admissible(wanted: Properties): { fields: Properties; complaints: string[] } {
  const fields: Properties = {};
  const complaints: string[] = [];
  for (const [key, value] of Object.entries(wanted)) {
    const complaint = complaintOf(key, value);
    if (complaint) complaints.push(complaint);
    else fields[key] = value;
  }
  const bytes = Buffer.byteLength(JSON.stringify(fields));
  if (bytes <= MOST_BYTES) return { fields, complaints };
  return {
    fields: {},
    complaints: [...complaints, `${bytes} bytes are more than the ${MOST_BYTES} that are sent`],
  };
}

/**
 * The patch that makes `wanted` of `known`: null deletes, objects are merged, lists are replaced whole.
 * @returns undefined where both are the same
 */
export function difference(known: Properties, wanted: Properties): Properties | undefined {
  const patch: Properties = {};
  for (const key of Object.keys(known)) if (!(key in wanted)) patch[key] = null;
  for (const [key, value] of Object.entries(wanted)) {
    const before = known[key];
    if (isDeepStrictEqual(before, value)) continue;
    patch[key] = isMapping(before) && isMapping(value) ? difference(before, value) : value;
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}
