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

/** Insertions, deletions and replacements of letters that make one text the other (Levenshtein). */
export function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
