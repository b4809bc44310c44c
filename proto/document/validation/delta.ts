import type { DeltaDocument } from '../delta.ts';
import { bytesOf, durationOf } from '../quantities.ts';
import { notValid } from './remedies.ts';

/** Complaints about the field `delta`. */

const MIN_TIME_MS = 1_000;
const MAX_TIME_MS = 86_400_000;

/** @param document fields that are not well-formed are absent */
export function deltaComplaints({ cache, scratch, time }: DeltaDocument): string[] {
  const complaints: string[] = [];
  for (const [name, amount] of Object.entries({ cache, scratch })) {
    if (amount !== undefined && bytesOf(String(amount)) === undefined)
      complaints.push(notValid(`delta.${name}`, amount));
  }
  if (time !== undefined) {
    const ms = durationOf(time);
    if (ms === undefined || ms < MIN_TIME_MS || ms > MAX_TIME_MS)
      complaints.push(notValid('delta.time', time));
  }
  return complaints;
}
