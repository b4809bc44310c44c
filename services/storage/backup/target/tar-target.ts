import { type FileHandle, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { syncFolder } from '../../metadata/metadata-state.ts';
import {
  type BackupList,
  type BackupMark,
  contentPath,
  dumpPath,
  FORMAT,
  formatList,
  idOf,
  listPath,
  MARK,
} from './backup-format.ts';
import type { BackupTarget } from './backup-target.ts';
import { type Content, copyBytes, type ReadBack, verifyCopy } from './copy-content.ts';
import type { Place } from './direct-read.ts';
import { writeDump } from './dump.ts';
import type { Pace } from './pace.ts';
import { headerOf, paddedSize, tarEnd } from './tar-format.ts';
import { TargetLock } from './target-lock.ts';

/** A tar file with one backup. It has another name, `<path>.part`, until the backup is complete. */
export class TarTarget implements BackupTarget {
  readonly copies = 1;
  readBack: ReadBack = 'disk';
  readonly path: string;
  readonly id: string;
  readonly #at: number;
  readonly #file: FileHandle;
  readonly #lock: TargetLock;
  #end = 0;
  /** Content that was written and is to be read back once it is synced. */
  #unread: { content: Content; place: Place; pace: Pace }[] = [];

  /** @throws Fault `busy`, `conflict` */
  static async open(path: string, mark: Omit<BackupMark, 'format'>, at: Date): Promise<TarTarget> {
    const existing = await stat(path).catch(() => undefined);
    if (existing && !existing.isFile()) throw new Fault('conflict', `${path} is not a file: name a new file`);
    const lock = await TargetLock.take(`${path}.lock`);
    try {
      const target = new TarTarget(path, at, await open(partOf(path), 'w+', 0o600), lock);
      await target.#addText(MARK, `${JSON.stringify({ format: FORMAT, ...mark })}\n`);
      return target;
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(path: string, at: Date, file: FileHandle, lock: TargetLock) {
    this.path = path;
    this.#at = at.getTime();
    this.id = idOf(at, 1);
    this.#file = file;
    this.#lock = lock;
  }

  async has(): Promise<boolean> {
    return false;
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(dirname(this.path));
    return bavail * bsize;
  }

  async writeDump(...lines: DumpLines) {
    // The size is known afterwards, and that of the header does not depend on it.
    const entry = dumpPath(this.id);
    const begin = this.#end;
    const start = begin + headerOf(entry, 0, this.#at).byteLength;
    const path = partOf(this.path);
    await this.#write(headerOf(entry, 0, this.#at), begin);
    const facts = await writeDump({ path, start }, ...lines);
    await this.#write(headerOf(entry, facts.bytes, this.#at), begin);
    this.#end = start + paddedSize(facts.bytes);
    await this.#file.truncate(this.#end);
    await this.#file.sync();
    return { facts, place: { path, offset: start, size: facts.bytes } };
  }

  async add(content: Content, from: Place, pace: Pace): Promise<boolean> {
    const header = headerOf(contentPath(content.digest), content.size, this.#at);
    const offset = this.#end + header.byteLength;
    if (!(await copyBytes(content, from, this.#file, offset, pace))) {
      await this.#file.truncate(this.#end);
      return false;
    }
    await this.#write(header, this.#end);
    this.#end = offset + paddedSize(content.size);
    await this.#file.truncate(this.#end);
    this.#unread.push({ content, place: { path: partOf(this.path), offset, size: content.size }, pace });
    if (this.#unread.length >= MAX_UNREAD) await this.#readBack();
    return true;
  }

  async complete(list: Omit<BackupList, 'sha256'>): Promise<void> {
    await this.#addText(listPath(list.id), formatList(list));
    await this.#write(tarEnd(), this.#end);
    await this.#readBack();
    await this.#file.close();
    await this.#lock.mustHold();
    await rename(partOf(this.path), this.path);
    await syncFolder(dirname(this.path));
  }

  async abandon(): Promise<void> {
    await rm(partOf(this.path), { force: true }).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close().catch(() => {});
    await this.#lock[Symbol.asyncDispose]();
  }

  async #readBack(): Promise<void> {
    await this.#file.sync();
    for (const { content, place, pace } of this.#unread) {
      if ((await verifyCopy(content, place, pace)) === 'cache') this.readBack = 'cache';
    }
    this.#unread = [];
  }

  async #addText(path: string, text: string): Promise<void> {
    const content = Buffer.from(text);
    const header = headerOf(path, content.byteLength, this.#at);
    await this.#write(header, this.#end);
    await this.#write(content, this.#end + header.byteLength);
    this.#end += header.byteLength + paddedSize(content.byteLength);
    await this.#file.truncate(this.#end);
  }

  async #write(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.byteLength; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.byteLength - done, position + done);
      done += bytesWritten;
    }
  }
}

/** Max content that waits to be read back. */
const MAX_UNREAD = 1_000;

type DumpLines = Parameters<typeof writeDump> extends [unknown, ...infer L] ? L : never;

export const isTarTarget = (path: string): boolean => path.endsWith('.tar');

const partOf = (path: string): string => `${path}.part`;
