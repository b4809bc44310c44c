import { type FileHandle, open, stat } from 'node:fs/promises';
import { type AuditFile, auditFilesOf } from '../audit/audit-file.ts';
import { numberOf } from '../audit/audit-line.ts';
import { type LogPosition, locate, lostBetween, startOf, tailAt } from './log-position.ts';

/** Bytes that are read at a time; more for a line that is longer. */
const CHUNK_BYTES = 16 * 1024;
/** A longer line is cut into pieces of this size. */
const MAX_LINE_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

export type LogBatch = {
  lines: string[];
  /** After the last of them. */
  position: LogPosition;
  /** Entries before the first of them were deleted unread: how many, and where the log begins now. */
  lost?: { count: number; position: LogPosition };
};

/** Reads the audit log from a position on, over all of its files. */
export class AuditLogReader implements AsyncDisposable {
  readonly #log: AuditFile;
  #position: LogPosition | undefined;
  #file: FileHandle | undefined;
  #lost: LogBatch['lost'];

  constructor(log: AuditFile, position: LogPosition | undefined) {
    this.#log = log;
    this.#position = position;
  }

  /** The next lines, in order; undefined if there are none yet. */
  async next(): Promise<LogBatch | undefined> {
    if (!this.#file) {
      const located = await this.#log.exclusively(() => locate(this.#log.path, this.#position));
      if (!located) return undefined;
      this.#begin(located.file, located.position, located.lost);
    }
    return (await this.#read(false)) ?? (await this.#log.exclusively(() => this.#advance()));
  }

  /** At the end of the file: lines that were just added, or those of the next file. */
  async #advance(): Promise<LogBatch | undefined> {
    const paths = await auditFilesOf(this.#log.path);
    const own = await this.#indexAmong(paths);
    if (own === paths.length - 1) return this.#read(false);
    const rest = await this.#read(true);
    if (rest) return rest;
    for (const path of paths.slice(own + 1)) {
      const file = await open(path, 'r');
      const start = await startOf(file);
      if (!start) {
        await file.close();
        continue;
      }
      await this.#file?.close();
      // Files between the two may be deleted already.
      this.#begin(file, start, own < 0 ? lostBetween(this.#position as LogPosition, start) : 0);
      return this.#read(false);
    }
    return undefined;
  }

  #begin(file: FileHandle, position: LogPosition, lost: number): void {
    this.#file = file;
    this.#position = position;
    if (lost > 0) this.#lost = { count: (this.#lost?.count ?? 0) + lost, position };
  }

  /** -1 if the file is deleted. */
  async #indexAmong(paths: string[]): Promise<number> {
    const { ino } = await (this.#file as FileHandle).stat();
    for (let index = paths.length - 1; index >= 0; index -= 1) {
      if ((await stat(paths[index] as string)).ino === ino) return index;
    }
    return -1;
  }

  /** @param complete nothing is added to the file: its last line may lack its end */
  async #read(complete: boolean): Promise<LogBatch | undefined> {
    const file = this.#file as FileHandle;
    const { offset, ...position } = this.#position as LogPosition;
    for (const size of [CHUNK_BYTES, MAX_LINE_BYTES]) {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(size), 0, size, offset);
      if (bytesRead === 0) return undefined;
      const bytes = buffer.subarray(0, bytesRead);
      const isCut = size === MAX_LINE_BYTES && bytesRead === size;
      const end = bytes.lastIndexOf(NEWLINE) + 1 || (complete || isCut ? bytesRead : 0);
      if (end === 0) continue;
      const lines = bytes
        .subarray(0, end)
        .toString()
        .split('\n')
        .filter((line) => line !== '');
      const number = lines.map(numberOf).findLast((one) => one !== undefined) ?? position.number;
      const tail = await tailAt(file, offset + end);
      this.#position = { file: position.file, offset: offset + end, tail, number };
      const lost = this.#lost;
      this.#lost = undefined;
      return { lines, position: this.#position, ...(lost && { lost }) };
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
