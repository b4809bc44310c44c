import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { randomHex } from '#proto/contract/random-hex.ts';
import { numberOf } from './audit-line.ts';

/** Size above which the file is rotated to `<file>.1`, in bytes. */
export const ROTATE_BYTES = 16 * 1024 * 1024;
/** Max rotated files, unless more are to be retained. */
const MAX_ROTATED = 7;
/** Max bytes at the end of a file in which the number of the last entry is searched. */
const MAX_TAIL_BYTES = 1024 * 1024;

const NEWLINE = 0x0a;

/** Makes a line of the id of its entry: `<number>-<suffix>`. */
export type MakeLine = (id: string) => string;

/**
 * Appends lines, in the order of the calls, to a file of bounded size. Entries are numbered without gaps, over all
 * files and starts. A number may occur again after a power cut took entries from the disk: the suffix differs then.
 */
export class AuditFile implements AsyncDisposable {
  readonly path: string;
  readonly #rotateBytes: number;
  readonly #suffix = randomHex().slice(0, 6);
  #open: { file: FileHandle; size: number } | undefined;
  /** Of the last entry on the disk; undefined until it is read from there. */
  #number: number | undefined;
  #maxRotated = MAX_ROTATED;
  readonly #lock = new KeyedLock();
  readonly #listeners = new Set<(rotated: boolean) => void>();

  constructor(path: string, rotateBytes = ROTATE_BYTES) {
    this.path = path;
    this.#rotateBytes = rotateBytes;
  }

  /** Number of the last entry; 0 until this process has written one. */
  get lastNumber(): number {
    return this.#number ?? 0;
  }

  /** Retains at least this size of entries, in more files if necessary. @param bytes size */
  retain(bytes: number): void {
    this.#maxRotated = Math.max(MAX_ROTATED, Math.ceil(bytes / this.#rotateBytes) - 1);
  }

  /** Calls back after each append. @returns a function that ends it */
  onAppend(listener: (rotated: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param durable synced when it resolves */
  async append(lines: MakeLine[], durable: boolean): Promise<void> {
    const rotated = await this.exclusively(() => this.#append(lines, durable));
    for (const listener of this.#listeners) listener(rotated);
  }

  /** Nothing is appended and no file is renamed while `work` runs. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#lock.run(this.path, work);
  }

  /** @returns whether the file was rotated */
  async #append(lines: MakeLine[], durable: boolean): Promise<boolean> {
    try {
      let target = await this.#openFile();
      const rotated = target.size > this.#rotateBytes;
      if (rotated) {
        await this.#rotate();
        target = await this.#openFile();
      }
      const first = (this.#number ?? 0) + 1;
      const texts = lines.map((make, index) => `${make(`${first + index}-${this.#suffix}`)}\n`);
      const bytes = Buffer.from(texts.join(''));
      await target.file.appendFile(bytes);
      target.size += bytes.byteLength;
      if (durable) await target.file.datasync();
      this.#number = first + lines.length - 1;
      return rotated;
    } catch (error) {
      // It is not known how much was written: the next append opens the file again and checks.
      await this.#close().catch(() => {});
      this.#number = undefined;
      throw error;
    }
  }

  async #openFile(): Promise<{ file: FileHandle; size: number }> {
    if (this.#open) return this.#open;
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    const file = await open(this.path, 'a+', 0o600);
    const { size } = await file.stat();
    this.#open = { file, size };
    const { bytesRead, buffer } = await file.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    // Ends a line that a crash cut off, so that it does not run into the next one.
    if (bytesRead === 1 && buffer[0] !== NEWLINE) await file.appendFile('\n');
    this.#number ??= await this.#readNumber();
    return this.#open;
  }

  /** Of the last entry, which is in the file before if this one has none. */
  async #readNumber(): Promise<number> {
    for (const path of (await auditFilesOf(this.path)).reverse()) {
      await using file = await open(path, 'r');
      const { size } = await file.stat();
      const from = Math.max(0, size - MAX_TAIL_BYTES);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
      const lines = buffer.subarray(0, bytesRead).toString().split('\n');
      const last = lines.reverse().find((line) => numberOf(line) !== undefined);
      if (last !== undefined) return numberOf(last) as number;
      // Entries of an earlier version, which are not numbered.
      if (size > 0) return 0;
    }
    return 0;
  }

  async #rotate(): Promise<void> {
    await this.#close();
    for (const path of await auditFilesOf(this.path)) {
      const index = indexOf(path, this.path);
      if (index >= this.#maxRotated) await rm(path, { force: true });
      else await rename(path, `${this.path}.${index + 1}`);
    }
  }

  async #close(): Promise<void> {
    const before = this.#open;
    this.#open = undefined;
    await before?.file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.exclusively(() => this.#close());
  }
}

/** The file and those before it, oldest first. */
export async function auditFilesOf(path: string): Promise<string[]> {
  const names = await readdir(dirname(path)).catch(() => []);
  const own = basename(path);
  return names
    .filter(
      (name) => name === own || (name.startsWith(`${own}.`) && /^\d{1,6}$/.test(name.slice(own.length + 1))),
    )
    .map((name) => join(dirname(path), name))
    .sort((a, b) => indexOf(b, path) - indexOf(a, path));
}

/** 0 for the file itself. */
const indexOf = (file: string, path: string): number => Number(file.slice(path.length + 1));
