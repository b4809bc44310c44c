import { safeJson, singleLine } from '#proto/contract/terminal-text.ts';

export { safeJson, singleLine, singleLines } from '#proto/contract/terminal-text.ts';

/**
 * The command's output. Only this file prints to stdout and stderr, apart from the progress bars (text/progress.ts).
 *
 * A command formats its result with figures.ts and text/. `print`, `printError` and `printJson` remove what could
 * control the terminal and write the rest. An error becomes a `Refusal` (refusal.ts, failure.ts): cause and remedy, on
 * stderr. When the reader closes the pipe, `outputEnd` aborts (output-end.ts); at the end, the process exits
 * when `flushOutput` has written out the output.
 */

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
