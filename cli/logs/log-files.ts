import { type FileHandle, open, stat } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Reads the log of a layer, which its supervisor writes (cli/layer/layer-log.ts): `<file>.1`, then `<file>`, and on
 * request what is appended, also after the file was rotated. Nothing is kept in memory but the line that is read.
 * log-entry.ts selects and formats the lines.
 */

/** Interval at which a file is checked for new lines, in ms: some file systems report no changes. */
const POLL_MS = 200;
const CHUNK_BYTES = 64 * 1024;
/** Max length of a line, in characters; the rest of a longer one is skipped. */
const MAX_LINE = 256 * 1024;

/** A line; `end`: all that is stored was read; `gap`: lines were rotated away before they could be read. */
export type LogPart = { line: string } | 'end' | 'gap';

export type ReadLogOptions = {
  /** Continue with what is appended, until the signal aborts. */
  follow?: boolean;
  signal: AbortSignal;
  pollMs?: number;
};

/** @throws ENOENT if there is no log, unless it is followed; other errors of the file system */
export async function* readLog(
  path: string,
  { follow = false, signal, pollMs = POLL_MS }: ReadLogOptions,
): AsyncGenerator<LogPart> {
  await using opened = await openBoth(path, follow);
  if (opened.previous) yield* new LineReader(opened.previous).lines(true);
  let reader = opened.current && new LineReader(opened.current);
  if (reader) yield* reader.lines(!follow);
  yield 'end';
  if (!follow) return;
  while (!signal.aborted) {
    await sleep(pollMs, undefined, { signal }).catch(() => {});
    const now = await inodeOf(path);
    if (reader && now === (await reader.inode())) {
      yield* reader.lines(false);
      continue;
    }
    if (reader) yield* reader.lines(true);
    if (now === undefined) continue;
    const isNext = reader === undefined || (await inodeOf(`${path}.1`)) === (await reader.inode());
    if (!isNext) yield 'gap';
    await opened.replace(path);
    reader = opened.current && new LineReader(opened.current);
  }
}

/** The open files of a log. */
class OpenLog implements AsyncDisposable {
  previous: FileHandle | undefined;
  current: FileHandle | undefined;

  async replace(path: string): Promise<void> {
    await this.current?.close();
    this.current = undefined;
    this.current = await openIf(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.previous?.close();
    await this.current?.close();
  }
}

async function openBoth(path: string, follow: boolean): Promise<OpenLog> {
  const opened = new OpenLog();
  opened.current = follow ? await openIf(path) : await open(path, 'r');
  opened.previous = await openIf(`${path}.1`);
  // The file was rotated meanwhile.
  const [before, now] = await Promise.all([opened.previous, opened.current].map((file) => file?.stat()));
  if (before && before.ino === now?.ino) await opened.replace(path);
  return opened;
}

class LineReader {
  readonly #file: FileHandle;
  readonly #decoder = new StringDecoder('utf8');
  #offset = 0;
  #rest = '';
  /** The line is longer than `MAX_LINE`: the rest of it is skipped. */
  #isCut = false;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  inode = async (): Promise<number> => (await this.#file.stat()).ino;

  /** The lines up to the present end of the file. @param isLast whether an unfinished line is one, too */
  async *lines(isLast: boolean): AsyncGenerator<{ line: string }> {
    // A log that can't be renamed is emptied.
    if ((await sizeOf(this.#file)) < this.#offset) this.#offset = 0;
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await this.#file.read(buffer, 0, CHUNK_BYTES, this.#offset);
      if (bytesRead === 0) break;
      this.#offset += bytesRead;
      const parts = (this.#rest + this.#decoder.write(buffer.subarray(0, bytesRead))).split('\n');
      this.#rest = parts.pop() ?? '';
      for (const line of parts) {
        if (!this.#isCut && line !== '') yield { line };
        this.#isCut = false;
      }
      if (this.#rest.length > MAX_LINE) {
        if (!this.#isCut) yield { line: this.#rest };
        this.#rest = '';
        this.#isCut = true;
      }
    }
    if (!isLast || this.#rest === '') return;
    if (!this.#isCut) yield { line: this.#rest };
    this.#rest = '';
  }
}

const sizeOf = async (file: FileHandle): Promise<number> => (await file.stat()).size;

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function openIf(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
