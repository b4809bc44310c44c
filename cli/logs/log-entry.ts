import type { Tone } from '../terminal/colour.ts';
import { wrapLines } from '../terminal/layout.ts';
import { singleLine } from '../terminal/terminal.ts';

/** Entries of a layer's log: which are wanted, and as lines for people. Pure. */

/** The levels that entries have as numbers, those of pino. */
export const logLevelNumbers = { debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;
export type LogLevelName = keyof typeof logLevelNumbers;

export type LogEntry = {
  level: number;
  /** ms since 1970 */
  time: number;
  service: string;
  msg: string;
  [field: string]: unknown;
};

/** Undefined for a line of another form. */
export function entryOf(line: string): LogEntry | undefined {
  try {
    const { level, time, service, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
    if (typeof level !== 'number' || typeof time !== 'number') return undefined;
    return { ...rest, level, time, service: String(service ?? ''), msg: String(msg ?? '') };
  } catch {
    return undefined;
  }
}

export type LogFilter = {
  /** Names of services or programs; `syncer` stands for each of `syncer-1`, `syncer-2` … */
  services?: readonly string[] | undefined;
  /** ms since 1970 */
  since?: number | undefined;
  minLevel?: LogLevelName | undefined;
};

/** A line that is no entry is wanted if all are. */
export function isWanted(entry: LogEntry | undefined, { services, since, minLevel }: LogFilter): boolean {
  if (!entry) return services === undefined && since === undefined && minLevel === undefined;
  if (since !== undefined && entry.time < since) return false;
  if (minLevel !== undefined && entry.level < logLevelNumbers[minLevel]) return false;
  return (
    services === undefined ||
    services.some((name) => entry.service === name || entry.service.replace(/-\d+$/, '') === name)
  );
}

/** Width of the names of services. */
const SERVICE_WIDTH = 11;
/** What each entry of a log on one machine has, and what only programs need. */
const LEFT_OUT = new Set(['level', 'time', 'service', 'msg', 'layer', 'pid', 'hostname', 'notice']);

/** One line: time, service, level, message, fields. @param width to which it is wrapped */
export function entryText(entry: LogEntry, width: number | undefined): string {
  const time = new Date(entry.time).toISOString().slice(0, 19).replace('T', ' ');
  const fields = Object.entries(entry).flatMap(([name, value]) =>
    LEFT_OUT.has(name) || value === undefined ? [] : [`${name}=${valueText(value)}`],
  );
  const line = singleLine(
    [
      `${time} ${entry.service.padEnd(SERVICE_WIDTH)} ${levelName(entry.level).padEnd(5)} ${entry.msg}`,
      ...fields,
    ].join(' '),
  );
  return width === undefined ? line : wrapLines(line, width);
}

/** Of an error, the message; the stack trace is in `--json`. */
function valueText(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) return JSON.stringify(value.message);
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : (JSON.stringify(value) ?? '');
}

/** The name of the level, or of the next lower one. */
function levelName(level: number): LogLevelName {
  const names = Object.entries(logLevelNumbers) as [LogLevelName, number][];
  return names.findLast(([, number]) => level >= number)?.[0] ?? 'debug';
}

export function toneOfEntry({ level, notice }: LogEntry): Tone | undefined {
  if (level >= logLevelNumbers.error) return 'bad';
  if (level >= logLevelNumbers.warn) return 'warning';
  if (level < logLevelNumbers.info) return 'faint';
  return notice === true ? 'good' : undefined;
}
