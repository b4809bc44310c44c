import { clip } from '../contract/clip.ts';

/** How many sentences about what is not as it should be go into one message. */
export const MAX_COMPLAINTS = 100;
/** All of them fit into one. */
const MAX_LENGTH = 1_000;

/** As many as a message takes, each as long as it may be; the last one says how many more there are. */
export function fewer(complaints: readonly string[]): string[] {
  const kept = complaints.length > MAX_COMPLAINTS ? complaints.slice(0, MAX_COMPLAINTS - 1) : complaints;
  const more = complaints.length - kept.length;
  return [...kept.map((one) => clip(one, MAX_LENGTH)), ...(more > 0 ? [`and ${more} more`] : [])];
}
