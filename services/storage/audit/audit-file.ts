import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Past this, the file is put aside as `<file>.1`; so many of those are kept. */
const ROTATE_BYTES = 16 * 1024 * 1024;
const KEPT = 7;

const NEWLINE = 0x0a;

/** Appends lines, in the order in which they come, to a file that never grows without bound. */
export class AuditFile implements AsyncDisposable {
  readonly #path: string;
  readonly #rotateBytes: number;
  #open: { file: FileHandle; size: number } | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(path: string, rotateBytes = ROTATE_BYTES) {
    this.#path = path;
    this.#rotateBytes = rotateBytes;
  }

  /** @param durable the lines are on the disk when it returns */
  append(lines: string[], durable: boolean): Promise<void> {
    const turn = this.#last.then(() => this.#append(lines, durable));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #append(lines: string[], durable: boolean): Promise<void> {
    try {
      let target = await this.#opened();
      if (target.size > this.#rotateBytes) {
        await this.#rotate();
        target = await this.#opened();
      }
      const bytes = Buffer.from(`${lines.join('\n')}\n`);
      await target.file.appendFile(bytes);
      target.size += bytes.byteLength;
      if (durable) await target.file.datasync();
    } catch (error) {
      // What of it was written is not known: the next one looks.
      await this.#close().catch(() => {});
      throw error;
    }
  }

  async #opened(): Promise<{ file: FileHandle; size: number }> {
    if (this.#open) return this.#open;
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const file = await open(this.#path, 'a+', 0o600);
    const { size } = await file.stat();
    this.#open = { file, size };
    const { bytesRead, buffer } = await file.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    // A line that a crash cut off stays one by itself.
    if (bytesRead === 1 && buffer[0] !== NEWLINE) await file.appendFile('\n');
    return this.#open;
  }

  async #rotate(): Promise<void> {
    await this.#close();
    await rm(`${this.#path}.${KEPT}`, { force: true });
    for (let index = KEPT - 1; index >= 0; index -= 1) {
      const from = index === 0 ? this.#path : `${this.#path}.${index}`;
      await rename(from, `${this.#path}.${index + 1}`).catch(unlessMissing);
    }
  }

  async #close(): Promise<void> {
    const before = this.#open;
    this.#open = undefined;
    await before?.file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    await this.#close();
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
