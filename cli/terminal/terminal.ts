import { safeJson, singleLine } from '#proto/contract/terminal-text.ts';

export { safeJson, singleLine, singleLines } from '#proto/contract/terminal-text.ts';

/**
 * The command's output. Only this file prints to stdout and stderr, apart from screen.ts and the progress bars
 * (text/progress.ts).
 *
 * A command formats its result with figures.ts, table.ts and text/, and fits it to the terminal with layout.ts.
 * `print`, `printError` and `printJson` remove what could control the terminal and write the rest, with the colours of
 * colour.ts. screen.ts redraws a status in place. An error becomes a `Refusal` (refusal.ts, failure.ts): cause and
 * remedy, on stderr. When the reader closes the pipe, `outputEnd` aborts (output-end.ts); at the end, the process exits
 * when `flushOutput` has written out the output.
 */

/** Where the output goes: a test collects that of a command that runs in its own process. */
export const output = {
  toStdout: (text: string): void => void process.stdout.write(text),
  toStderr: (text: string): void => void process.stderr.write(text),
};

/** Lines for a person, on stdout. @param paint adds colours to the lines once they are safe */
export function print(text: string, paint?: (safe: string) => string): void {
  const safe = safeLines(text);
  output.toStdout(paint ? paint(safe) : safe);
}

/** Lines for a person, on stderr. */
export function printError(text: string): void {
  output.toStderr(safeLines(text));
}

/** For a program, on stdout. */
export function printJson(json: string): void {
  output.toStdout(`${safeJson(json)}\n`);
}

/** For a program, on stderr: the error of a command with `--json`. */
export function printJsonError(json: string): void {
  output.toStderr(`${safeJson(json)}\n`);
}

/** For a program, on stdout, unchanged: CSV, whose cells are safe. */
export function printRaw(text: string): void {
  output.toStdout(text);
}

/** The lines without what could control a terminal, each with its end. */
export const safeLines = (text: string): string => `${text.split('\n').map(singleLine).join('\n')}\n`;
