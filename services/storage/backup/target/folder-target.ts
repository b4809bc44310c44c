import { mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { check } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { randomHex } from '#proto/contract/random-hex.ts';
import { SyncedFolders } from '../../content/synced-folders.ts';
import { syncFolder } from '../../metadata/metadata-state.ts';
import {
  type BackupList,
  BackupMark,
  contentPath,
  type DumpFacts,
  dumpPath,
  FORMAT,
  formatList,
  idOf,
  idOfFile,
  LISTS,
  LOCK,
  listPath,
  MARK,
  NEW,
} from './backup-format.ts';
import type { BackupTarget } from './backup-target.ts';
import { type Content, copyContent, type ReadBack } from './copy-content.ts';
import type { Place } from './direct-read.ts';
import { writeDump } from './dump.ts';
import type { Pace } from './pace.ts';
import { TargetLock } from './target-lock.ts';

/** Entries that an empty folder of a file system may have. */
const NOTHING = new Set(['lost+found', 'System Volume Information']);

/** A folder of backups, which share their content. */
export class FolderTarget implements BackupTarget {
  /** Of the four threads of a process for files, the others serve the layer while a slow medium syncs. */
  readonly copies = 2;
  readBack: ReadBack = 'disk';
  readonly path: string;
  readonly id: string;
  readonly lock: TargetLock;
  readonly #folders: SyncedFolders;
  readonly #touched = new Set<string>();

  /**
   * Opens the folder, or makes one of an empty or missing folder whose parent exists. Deletes what killed backups left.
   * @param known the layer has backups there already
   * @throws Fault `busy`, `conflict`, `unavailable`
   */
  static async open(path: string, mark: Omit<BackupMark, 'format'>, at: Date, known: boolean) {
    const isMade = await makeFolder(path);
    const found = await markIn(path);
    if (!found) {
      const names = isMade ? [] : (await readdir(path)).filter((name) => !NOTHING.has(name));
      const others = names.filter((name) => !name.startsWith('.') && !name.startsWith(`${LOCK}.`));
      if (known)
        throw new Fault(
          'unavailable',
          `${path} has no backups any more, and had some: mount the medium; if they were deleted on purpose, run "terrace backup ${path}" once by hand`,
        );
      if (others.some((name) => name !== LOCK && name !== NEW))
        throw new Fault(
          'conflict',
          `${path} is not empty and has no backups: name an empty folder, or a folder of backups`,
        );
    } else if (found.instance !== mark.instance) {
      throw new Fault(
        'conflict',
        `${path} has the backups of another layer (${found.layer}): name another folder`,
      );
    }
    const lock = await TargetLock.take(join(path, LOCK));
    try {
      for (const folder of [LISTS, NEW]) await mkdir(join(path, folder), { recursive: true, mode: 0o700 });
      if (!found) await writeMark(path, { format: FORMAT, ...mark });
      const id = await clean(path, at);
      return new FolderTarget(path, id, lock);
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(path: string, id: string, lock: TargetLock) {
    this.path = path;
    this.id = id;
    this.lock = lock;
    this.#folders = new SyncedFolders(path, 0o700);
  }

  async has({ digest, size }: Content): Promise<boolean> {
    const path = join(this.path, contentPath(digest));
    const found = await stat(path).catch((error) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    });
    if (!found?.isFile() || found.size !== size) return false;
    // The backup that wrote it may have been killed before it synced the folder.
    this.#touched.add(dirname(path));
    return true;
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }

  async writeDump(...lines: DumpLines): Promise<{ facts: DumpFacts; place: Place }> {
    const path = join(this.path, dumpPath(this.id));
    const facts = await writeDump({ path }, ...lines);
    return { facts, place: { path, offset: 0, size: facts.bytes } };
  }

  async add(content: Content, from: Place, pace: Pace): Promise<boolean> {
    const path = join(this.path, contentPath(content.digest));
    await this.#folders.make(dirname(path));
    this.#touched.add(dirname(path));
    const temporary = join(this.path, NEW, randomHex());
    const copied = await copyContent(content, from, { temporary, path, mode: 0o600 }, pace);
    if (copied === 'cache') this.readBack = 'cache';
    return copied !== 'damaged';
  }

  async complete(list: Omit<BackupList, 'sha256'>): Promise<void> {
    for (const folder of this.#touched) await this.#folders.sync(folder);
    await this.lock.mustHold();
    await writeSynced(join(this.path, NEW, list.id), formatList(list));
    await rename(join(this.path, NEW, list.id), join(this.path, listPath(list.id)));
    await syncFolder(join(this.path, LISTS));
    await syncFolder(this.path);
  }

  async abandon(): Promise<void> {
    await rm(join(this.path, dumpPath(this.id)), { force: true }).catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.lock[Symbol.asyncDispose]();
  }
}

type DumpLines = Parameters<typeof writeDump> extends [unknown, ...infer L] ? L : never;

/** @returns whether it did not exist */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined if the folder has none. */
export async function markIn(path: string): Promise<BackupMark | undefined> {
  let text: string;
  try {
    text = await readFile(join(path, MARK), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return check(BackupMark, JSON.parse(text));
  } catch (cause) {
    throw new Fault('conflict', `${join(path, MARK)} is damaged: name another folder`, { cause });
  }
}

async function writeMark(path: string, mark: BackupMark): Promise<void> {
  const temporary = join(path, NEW, MARK);
  await writeSynced(temporary, `${JSON.stringify(mark)}\n`);
  await rename(temporary, join(path, MARK));
  await syncFolder(path);
}

export async function writeSynced(path: string, text: string): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  await file.writeFile(text);
  await file.sync();
}

/**
 * Deletes files of killed backups: half written ones, and metadata without a list. Their content is complete, and
 * serves the next backup.
 * @returns an unused id
 */
async function clean(path: string, at: Date): Promise<string> {
  for (const name of await readdir(join(path, NEW))) await rm(join(path, NEW, name), { force: true });
  const names = await readdir(join(path, LISTS));
  const lists = new Set<string>();
  for (const name of names) {
    const known = idOfFile(name);
    if (known?.isList) lists.add(known.id);
  }
  for (const name of names) {
    const known = idOfFile(name);
    if (known && !lists.has(known.id)) await rm(join(path, LISTS, name), { force: true });
  }
  for (let n = 1; ; n += 1) if (!lists.has(idOf(at, n))) return idOf(at, n);
}
