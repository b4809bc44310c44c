import { isDeepStrictEqual } from 'node:util';
import { isMapping } from '#proto/contract/plain-data.ts';
import { twinComplaints } from '#proto/iot-edge/twin-rules.ts';
import { MAX_BYTES } from '../report/fit.ts';
import type { Properties } from './desired.ts';

/**
 * Checks properties to report by the rules of a twin: edgeHub refuses without a reason, and a later refusal by IoT Hub
 * never reaches the module. Pure.
 */

/** The fields that a twin accepts, and complaints about the others. */
export function admissible(wanted: Properties): { fields: Properties; complaints: string[] } {
  const fields: Properties = {};
  const complaints: string[] = [];
  for (const [key, value] of Object.entries(wanted)) {
    const issues = twinComplaints({ [key]: value }, 'reported');
    for (const complaint of issues) complaints.push(complaint);
    if (issues.length === 0) fields[key] = value;
  }
  const bytes = Buffer.byteLength(JSON.stringify(fields));
  if (bytes <= MAX_BYTES) return { fields, complaints };
  return {
    fields: {},
    complaints: [
      ...complaints,
      `the reported properties have ${bytes} bytes, more than the limit of ${MAX_BYTES} bytes`,
    ],
  };
}

/**
 * The patch that turns `known` into `wanted`: null deletes, objects are merged, lists are replaced as one value.
 * @returns undefined if both are equal
 */
export function difference(known: Properties, wanted: Properties): Properties | undefined {
  const patch: Properties = {};
  for (const key of Object.keys(known)) if (!(key in wanted)) patch[key] = null;
  for (const [key, value] of Object.entries(wanted)) {
    const previous = known[key];
    if (isDeepStrictEqual(previous, value)) continue;
    patch[key] = isMapping(previous) && isMapping(value) ? difference(previous, value) : value;
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}
