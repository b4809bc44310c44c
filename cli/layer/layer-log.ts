import { closeSync, fstatSync, ftruncateSync, openSync, renameSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { singleLine } from '../terminal/terminal.ts';
import { RepeatedLines } from './repeated-lines.ts';

/** A larger file is renamed to `<file>.1`, which replaces the previous one. */
const ROTATE_BYTES = 16 * 1024 * 1024;
/** Levels of pino. */
const WARN = 40;
const levels = { debug: 20, info: 30, warn: WARN, error: 50 };
type Fields = Record<string, unknown>;

/**
 * Outputs of a layer's log: `line` gets every entry as JSON, `terminal` the text of the entries for people: warnings,
 * errors, and those marked with `notice`, such as the end of a problem.
 */
export type Outlets = { line: (json: string) => void; terminal: (text: string) => void };

/** The log of all processes of a layer, in one sequence. */
export class LayerLog {
  readonly #outlets: Outlets;
  readonly #layer: string;
  readonly #repeats: RepeatedLines;

  constructor(layer: string, outlets: Outlets) {
    this.#layer = layer;
    this.#outlets = outlets;
    this.#repeats = new RepeatedLines((line) => outlets.terminal(line));
  }

  write(service: string, level: keyof typeof levels, msg: string, fields: Fields = {}): void {
    const entry = { level: levels[level], time: Date.now(), layer: this.#layer, service, ...fields, msg };
    this.#writeEntry(JSON.stringify(entry), entry);
  }

  /** Reads the output of a process: JSON lines are logged unchanged, other lines as the message of an entry. */
  follow(service: string, stream: Readable | null): void {
    if (!stream) return;
    createInterface({ input: stream }).on('line', (line) => {
      const entry = line.startsWith('{') ? parse(line) : undefined;
      if (entry) this.#writeEntry(line, entry);
      else if (line.trim()) this.#writeText(service, line);
    });
  }

  /**
   * nats-server writes `[pid] date time [WRN] message`; other lines that are not JSON are the stack trace of a crash.
   */
  #writeText(service: string, line: string): void {
    const [, severity, message] = /^\[\d+\] \S+ \S+ \[(\w+)\] (.*)$/.exec(line) ?? [];
    if (message === undefined) this.write(service, 'warn', line);
    // Its banner; and the passwords are random, and only the owner can read their file.
    else if (!/\w/.test(message.replaceAll('_', '')) || message.startsWith('Plaintext passwords')) return;
    else
      this.write(
        service,
        severity === 'WRN' ? 'warn' : /^(ERR|FTL)$/.test(severity ?? '') ? 'error' : 'info',
        message,
      );
  }

  #writeEntry(line: string, entry: Fields): void {
    this.#outlets.line(line);
    if (Number(entry.level) < WARN && entry.notice !== true) return;
    const { service, msg, code, state } = entry;
    const time = new Date(Number(entry.time)).toTimeString().slice(0, 8);
    const shown = singleLine([`${time} ${service}: ${msg}`, ...detailsOf(entry)].join('; '));
    const key = [service, entry.level, msg, code, state].join(' ');
    this.#repeats.line(key, Number(entry.level) > WARN ? `${shown} (error)` : shown);
  }

  /** Shows the repeated lines that are still pending. */
  end(): void {
    this.#repeats.end();
  }
}

/** Subject and reason of an entry, as far as it has them. */
function detailsOf(entry: Fields): string[] {
  const { err, complaints, repository, tag, state, detail, reason } = entry as Record<string, unknown> & {
    err?: { message?: string };
  };
  const subject = [repository, tag].filter(isText).join(':');
  return [
    ...(subject ? [subject] : []),
    ...[state, detail, reason, err?.message].filter(isText),
    ...(Array.isArray(complaints) ? complaints.filter(isText) : []),
  ];
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** Appends lines to a file of bounded size. */
export class LogFile implements Disposable {
  readonly #path: string;
  readonly #rotateBytes: number;
  #file: number;
  #size: number;

  constructor(path: string, rotateBytes = ROTATE_BYTES) {
    this.#path = path;
    this.#rotateBytes = rotateBytes;
    this.#file = openSync(path, 'a', 0o600);
    this.#size = fstatSync(this.#file).size;
  }

  readonly write = (line: string): void => {
    try {
      if (this.#size > this.#rotateBytes) this.#rotate();
      this.#size += writeSync(this.#file, `${line}\n`);
    } catch {
      // A full disk must not end the layer.
    }
  };

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  /** Closes the old file last, and only once: its descriptor is reused soon, by another file or a pipe to a service. */
  #rotate(): void {
    this.#size = 0;
    try {
      renameSync(this.#path, `${this.#path}.1`);
    } catch (error) {
      // A missing file is created again. A file that can't be renamed is truncated, as its size must be bounded.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        ftruncateSync(this.#file);
        return;
      }
    }
    const before = this.#file;
    this.#file = openSync(this.#path, 'a', 0o600);
    closeSync(before);
  }
}

function parse(line: string): Fields | undefined {
  try {
    return JSON.parse(line) as Fields;
  } catch {
    return undefined;
  }
}
