import { singleLine } from '#proto/contract/terminal-text.ts';
import type { Finding } from '../leveldb/examine.ts';

/** Damage that a repair found, records that it restored, and records that it could not restore. */
export type RepairReport = {
  /** Absolute path of the old metadata. */
  oldMetadata: string;
  damage: Finding[];
  restored: Lines;
  lost: Lines;
  /** What else an operator should know or do. */
  notes: string[];
};

/** At most `MAX_LINES` lines. */
export type Lines = string[];

/** Max lines of one list of a report; further ones are dropped. */
export const MAX_LINES = 100_000;

export function emptyReport(oldMetadata: string): RepairReport {
  return { oldMetadata, damage: [], restored: [], lost: [], notes: [] };
}

/** Adds a line to a list of the report. */
export function addLine(lines: Lines, line: string): void {
  if (lines.length < MAX_LINES) lines.push(line);
}

/** The report as text. `singleLine` cleans each line: it may quote client input or damaged bytes. */
export function reportText({ oldMetadata, damage, restored, lost, notes }: RepairReport): string {
  const list = (title: string, lines: string[]) => [
    title,
    ...(lines.length > 0 ? lines : ['nothing']).map((line) => `  ${singleLine(line)}`),
  ];
  return [
    ...list(
      'Damaged:',
      damage.map(({ file, what }) => `${file} ${what}`),
    ),
    ...list('Restored:', restored),
    ...list('Lost:', lost),
    ...(notes.length > 0 ? list('Notes:', notes) : []),
    `The old metadata is preserved in ${oldMetadata}.`,
  ].join('\n');
}
