import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeyedLock } from '#proto/async/keyed-lock.ts';

/** Size above which the file is rotated to `<file>.1`, in bytes. */
const ROTATE_BYTES = 16 * 1024 * 1024;
/** Max rotated files. */
const MAX_ROTATED = 7;

const NEWLINE = 0x0a;

/** Appends lines, in the order of the calls, to a file of bounded size. */
export class AuditFile implements AsyncDisposable {
  readonly #path: string;
  readonly #rotateBytes: number;
  #open: { file: FileHandle; size: number } | undefined;
  readonly #lock = new KeyedLock();

  constructor(path: string, rotateBytes = ROTATE_BYTES) {
    this.#path = path;
    this.#rotateBytes = rotateBytes;
  }

  /** @param durable synced when it resolves */
  append(lines: string[], durable: boolean): Promise<void> {
    return this.#lock.run(this.#path, () => this.#append(lines, durable));
  }

  async #append(lines: string[], durable: boolean): Promise<void> {
    try {
      let target = await this.#openFile();
      if (target.size > this.#rotateBytes) {
        await this.#rotate();
        target = await this.#openFile();
      }
      const bytes = Buffer.from(`${lines.join('\n')}\n`);
      await target.file.appendFile(bytes);
      target.size += bytes.byteLength;
      if (durable) await target.file.datasync();
    } catch (error) {
      // It is not known how much was written: the next append opens the file again and checks.
      await this.#close().catch(() => {});
      throw error;
    }
  }

  async #openFile(): Promise<{ file: FileHandle; size: number }> {
    if (this.#open) return this.#open;
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const file = await open(this.#path, 'a+', 0o600);
    const { size } = await file.stat();
    this.#open = { file, size };
    const { bytesRead, buffer } = await file.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    // Ends a line that a crash cut off, so that it does not run into the next one.
    if (bytesRead === 1 && buffer[0] !== NEWLINE) await file.appendFile('\n');
    return this.#open;
  }

  async #rotate(): Promise<void> {
    await this.#close();
    await rm(`${this.#path}.${MAX_ROTATED}`, { force: true });
    for (let index = MAX_ROTATED - 1; index >= 0; index -= 1) {
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
    await this.#lock.run(this.#path, () => this.#close());
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
