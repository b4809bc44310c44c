import { editsBetween } from '#proto/contract/near-words.ts';

/** What a misspelt name may stand for. Pure. */

/** Max length of a name that is compared, in characters. */
const MAX_LENGTH = 255;

/** The known names that differ from a name in few letters, or in the case, the nearest first. */
export function nearNames(name: string, known: readonly string[], max = 3): string[] {
  if (name.length > MAX_LENGTH) return [];
  const wanted = name.toLowerCase();
  return known
    .filter(
      (one) => one.length <= MAX_LENGTH && Math.abs(one.length - wanted.length) <= maxEdits(wanted, one),
    )
    .map((one) => ({ one, edits: editsBetween(wanted, one.toLowerCase()) }))
    .filter(({ one, edits }) => edits <= maxEdits(wanted, one))
    .sort((a, b) => a.edits - b.edits)
    .slice(0, max)
    .map(({ one }) => one);
}

/** Max edits between two names that are alike. */
export const maxEdits = (a: string, b: string): number =>
  Math.max(1, Math.floor(Math.min(a.length, b.length) / 3));
