import { printJsonError } from './terminal.ts';

/** Levels of pino. */
const levels = { warn: 40, fatal: 60 } as const;

/** A line of the log of this process itself, on stderr, in the form of those of the services. */
export function printLogLine(level: keyof typeof levels, msg: string, fields: object): void {
  const entry = { level: levels[level], time: Date.now(), pid: process.pid, service: 'layer' };
  printJsonError(JSON.stringify({ ...entry, ...fields, msg }));
}
