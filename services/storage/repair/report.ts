import { singleLine } from '#proto/contract/terminal-text.ts';
import type { Finding } from '../leveldb/examine.ts';

/** What a repair found, brought back and could not bring back. */
export type Report = {
  /** Absolute: where the metadata are now that were here before. */
  kept: string;
  damage: Finding[];
  broughtBack: Lines;
  lost: Lines;
  /** What else somebody should know, or do. */
  notes: string[];
};

/** So many are listed by name of each kind; the file of a repair has all of them. */
export type Lines = string[];

/** More lines are counted, not listed. */
export const MAX_LINES = 100_000;

export function emptyReport(kept: string): Report {
  return { kept, damage: [], broughtBack: [], lost: [], notes: [] };
}

export function say(lines: Lines, line: string): void {
  if (lines.length < MAX_LINES) lines.push(line);
}

/** Lines may quote what clients pushed, or damaged bytes. */
export function textOf({ kept, damage, broughtBack, lost, notes }: Report): string {
  const list = (title: string, lines: string[]) => [
    title,
    ...(lines.length > 0 ? lines : ['nothing']).map((line) => `  ${singleLine(line)}`),
  ];
  return [
    ...list(
      'Damaged:',
      damage.map(({ file, what }) => `${file} ${what}`),
    ),
    ...list('Brought back:', broughtBack),
    ...list('Lost:', lost),
    ...(notes.length > 0 ? list('To know:', notes) : []),
    `The metadata as they were are kept in ${kept}.`,
  ].join('\n');
}
