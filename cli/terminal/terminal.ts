import { safeJson, singleLine } from '#proto/contract/terminal-text.ts';

export { safeJson, singleLine, singleLines } from '#proto/contract/terminal-text.ts';

/** The only outlet of the command to the terminal. */

/** Lines for a person, on stdout. */
export function print(text: string): void {
  process.stdout.write(safeLines(text));
}

/** Lines for a person, on stderr. */
export function printError(text: string): void {
  process.stderr.write(safeLines(text));
}

/** For a program, on stdout. */
export function printJson(json: string): void {
  process.stdout.write(`${safeJson(json)}\n`);
}

const safeLines = (text: string): string => `${text.split('\n').map(singleLine).join('\n')}\n`;
