import { isDeepStrictEqual } from 'node:util';
import { twinComplaints } from '#proto/iot-edge/twin-rules.ts';
import { MAX_BYTES } from '../report/fit.ts';
import { isMapping, type Properties } from './desired.ts';

/**
 * What is reported. edgeHub refuses without a word, and what IoT Hub refuses later is never told to the module: so it is
 * looked at here, by the rules of the twin. Pure.
 */

/** The fields that a twin takes, and what is wrong with the others. */
export function admissible(wanted: Properties): { fields: Properties; complaints: string[] } {
  const fields: Properties = {};
  const complaints: string[] = [];
  for (const [key, value] of Object.entries(wanted)) {
    const found = twinComplaints({ [key]: value }, 'reported');
    for (const complaint of found) complaints.push(complaint);
    if (found.length === 0) fields[key] = value;
  }
  const bytes = Buffer.byteLength(JSON.stringify(fields));
  if (bytes <= MAX_BYTES) return { fields, complaints };
  return {
    fields: {},
    complaints: [...complaints, `${bytes} bytes are more than the ${MAX_BYTES} that are sent`],
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
