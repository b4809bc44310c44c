import { clip } from '../contract/clip.ts';

/** Max complaints in one message. */
export const MAX_COMPLAINTS = 100;
/** Max length of a complaint, so that all of them fit into one message. */
const MAX_LENGTH = 1_000;

/** Limits complaints to what fits into one message: each is clipped, and the last one counts those that are omitted. */
export function limitComplaints(complaints: readonly string[]): string[] {
  const shown = complaints.length > MAX_COMPLAINTS ? complaints.slice(0, MAX_COMPLAINTS - 1) : complaints;
  const more = complaints.length - shown.length;
  return [...shown.map((one) => clip(one, MAX_LENGTH)), ...(more > 0 ? [`and ${more} more`] : [])];
}
