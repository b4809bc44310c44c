import { closeSync, fstatSync, ftruncateSync, openSync, renameSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { singleLine } from '../terminal/terminal.ts';
import { Repeats } from './repeats.ts';

/** Past this, the file becomes `<file>.1`, in the place of the one before it. */
const ROTATE_BYTES = 16 * 1024 * 1024;
const WARN = 40;
const levels = { debug: 20, info: 30, warn: WARN, error: 50 };
type Fields = Record<string, unknown>;

/**
 * Where a layer's output goes: every line to `line` as JSON, and what a person should see to `screen`: warnings, errors,
 * and what is marked with `notice`, such as the end of a trouble.
 */
export type Outlets = { line: (json: string) => void; screen: (text: string) => void };

/** What all processes of a layer say, in one order. */
export class LayerLog {
  readonly #outlets: Outlets;
  readonly #layer: string;
  readonly #repeats: Repeats;

  constructor(layer: string, outlets: Outlets) {
    this.#layer = layer;
    this.#outlets = outlets;
    this.#repeats = new Repeats((line) => outlets.screen(line));
  }

  say(service: string, level: keyof typeof levels, msg: string, fields: Fields = {}): void {
    const entry = { level: levels[level], time: Date.now(), layer: this.#layer, service, ...fields, msg };
    this.#take(JSON.stringify(entry), entry);
  }

  /** Takes what a process writes: JSON lines as they are, anything else as the message of one. */
  follow(service: string, stream: Readable | null): void {
    if (!stream) return;
    createInterface({ input: stream }).on('line', (line) => {
      const entry = line.startsWith('{') ? parse(line) : undefined;
      if (entry) this.#take(line, entry);
      else if (line.trim()) this.#other(service, line);
    });
  }

  /** nats-server's own form is `[pid] date time [WRN] message`; what else is not JSON is the trace of a crash. */
  #other(service: string, line: string): void {
    const [, mark, message] = /^\[\d+\] \S+ \S+ \[(\w+)\] (.*)$/.exec(line) ?? [];
    if (message === undefined) this.say(service, 'warn', line);
    // The passwords are random, and the file that holds them is its owner's only.
    else if (message.trim() === '' || message.startsWith('Plaintext passwords')) return;
    else
      this.say(service, mark === 'WRN' ? 'warn' : /^(ERR|FTL)$/.test(mark ?? '') ? 'error' : 'info', message);
  }

  #take(line: string, entry: Fields): void {
    this.#outlets.line(line);
    if (Number(entry.level) < WARN && entry.notice !== true) return;
    const { service, msg, code, state } = entry;
    const time = new Date(Number(entry.time)).toTimeString().slice(0, 8);
    const shown = singleLine([`${time} ${service}: ${msg}`, ...detailsOf(entry)].join('; '));
    const key = [service, entry.level, msg, code, state].join(' ');
    this.#repeats.line(key, Number(entry.level) > WARN ? `${shown} (error)` : shown);
  }

  /** Shows what was gathered. */
  end(): void {
    this.#repeats.end();
  }
}

/** What a line is about and why it is said, as far as it says so. */
function detailsOf(entry: Fields): string[] {
  const { err, complaints, repository, tag, state, detail, reason } = entry as Record<string, unknown> & {
    err?: { message?: string };
  };
  const where = [repository, tag].filter(isText).join(':');
  return [
    ...(where ? [where] : []),
    ...[state, detail, reason, err?.message].filter(isText),
    ...(Array.isArray(complaints) ? complaints.filter(isText) : []),
  ];
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** Appends lines to a file that never grows without bound. */
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

  /** The file in use is closed last, and once: soon its number is that of another file, or of a pipe to a service. */
  #rotate(): void {
    this.#size = 0;
    try {
      renameSync(this.#path, `${this.#path}.1`);
    } catch (error) {
      // One that somebody took away is made anew; one that can't be renamed loses what is in it, as it must have an end.
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
