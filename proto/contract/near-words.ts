/** Finds what a person probably intended to write: only what is really close to it. Pure. */

/** A longer text is no misspelt word. */
const MAX_LENGTH = 64;
/** Min letters of a text that is the beginning of a word. */
const MIN_PREFIX = 3;
/** Min letters of a word that is the beginning of a text. */
const MIN_WORD = 4;
/** A word of this many letters may have one edit, of twice as many two, and so on. */
const LETTERS_PER_EDIT = 3;

/**
 * The known words that are close to a text, the closest first: those with the fewest edits, in proportion to the
 * length; else those that begin with it, or with which it begins. Case does not count.
 * @param max number of words
 */
export function nearWords(text: string, known: readonly string[], max = 3): string[] {
  if (text.length > MAX_LENGTH) return [];
  const wanted = text.toLowerCase();
  const scored = [...new Set(known)]
    .filter((word) => word.length <= MAX_LENGTH)
    .map((word) => ({ word, edits: editsBetween(wanted, word.toLowerCase()) }));
  const close = scored.filter(({ word, edits }) => edits <= maxEdits(wanted, word));
  const fewest = close.reduce((min, { edits }) => Math.min(min, edits), Number.POSITIVE_INFINITY);
  const near = close.filter(({ edits }) => edits === fewest).map(({ word }) => word);
  const longer = scored
    .filter(
      ({ word }) => isPrefix(wanted, word.toLowerCase(), MIN_PREFIX) || isPrefix(word, wanted, MIN_WORD),
    )
    .map(({ word }) => word);
  return (near.length > 0 ? near : longer).slice(0, max);
}

const isPrefix = (prefix: string, text: string, min: number): boolean =>
  prefix.length >= min && text.startsWith(prefix);

const maxEdits = (wanted: string, word: string): number =>
  Math.floor(Math.max(wanted.length, word.length) / LETTERS_PER_EDIT);

/**
 * Insertions, deletions and replacements of letters, and swaps of two neighbours, that make one text the other
 * (Damerau-Levenshtein, optimal string alignment).
 */
export function editsBetween(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? (before[j - 2] as number) + 1 : replaced;
      next.push(Math.min(replaced, swapped, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] as number;
}
