import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import {
  type BackupList,
  contentPath,
  dumpPath,
  idOfFile,
  LISTS,
  listPath,
  MARK,
  MAX_LIST_BYTES,
  parseList,
} from './backup-format.ts';
import type { Place } from './direct-read.ts';
import { type TarEntry, tarEntries } from './tar-format.ts';
import { isTarTarget } from './tar-target.ts';

/** A target of backups, for reading. */
export interface BackupSource extends AsyncDisposable {
  readonly path: string;
  /** Ids of all complete backups, oldest first. */
  ids(): Promise<string[]>;
  list(id: string): Promise<BackupList>;
  dump(id: string): Promise<Place>;
  /** Ask in the order of the records. @returns undefined if it is missing */
  content(digest: string): Promise<Place | undefined>;
}

/** @throws Fault `unavailable`, `conflict` if there are no backups */
export async function openSource(path: string): Promise<BackupSource> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new Fault('unavailable', `${path} can't be read (${error.code}): name a folder or file of backups`);
  });
  if (found.isDirectory()) {
    if (await stat(join(path, MARK)).catch(() => undefined)) return new FolderSource(path);
  } else if (isTarTarget(path)) return TarSource.open(path);
  throw new Fault('conflict', `${path} has no backups: name a folder or a .tar file of "terrace backup"`);
}

/** The last one, or the last one that is not later than an instant. @throws Fault `conflict` if there is none */
export async function chosenList(source: BackupSource, at?: number): Promise<BackupList> {
  const ids = await source.ids();
  for (const id of ids.reverse()) {
    const list = await source.list(id);
    if (at === undefined || list.at <= at) return list;
  }
  const when = at === undefined ? '' : ` of ${new Date(at).toISOString()} or earlier`;
  throw new Fault(
    'conflict',
    `${source.path} has no complete backup${when}: see "terrace backup list ${source.path}"`,
  );
}

class FolderSource implements BackupSource {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async ids(): Promise<string[]> {
    const names = await readdir(join(this.path, LISTS)).catch(() => []);
    const found = names.flatMap((name) => idOfFile(name) ?? []).filter(({ isList }) => isList);
    return found.map(({ id }) => id).sort(byTime);
  }

  async list(id: string): Promise<BackupList> {
    const path = join(this.path, listPath(id));
    if ((await stat(path)).size > MAX_LIST_BYTES) throw new Fault('malformed', `${path} is too large`);
    return parseList(await readFile(path, 'utf8'), id);
  }

  dump = (id: string): Promise<Place> => placeOf(join(this.path, dumpPath(id)));

  async content(digest: string): Promise<Place | undefined> {
    return placeOf(join(this.path, contentPath(digest))).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

const placeOf = async (path: string): Promise<Place> => ({
  path,
  offset: 0,
  size: (await stat(path)).size,
});

/** A second backup of one second comes after the first: by number, not by text. */
function byTime(a: string, b: string): number {
  const [timeA = '', numberA = '1'] = a.split('-');
  const [timeB = '', numberB = '1'] = b.split('-');
  return timeA === timeB ? Number(numberA) - Number(numberB) : timeA < timeB ? -1 : 1;
}

/** Its content is in the order of the records, so it is read in one go. */
class TarSource implements BackupSource {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #backup: { list: BackupList; dump: Place };
  #entries: AsyncGenerator<TarEntry>;
  #next: TarEntry | undefined;

  static async open(path: string): Promise<TarSource> {
    const file = await open(path, 'r');
    try {
      let list: BackupList | undefined;
      const dumps = new Map<string, Place>();
      for await (const { path: name, size, offset } of tarEntries(file)) {
        const known = name.startsWith(`${LISTS}/`) && idOfFile(name.slice(LISTS.length + 1));
        if (!known) continue;
        if (!known.isList) dumps.set(known.id, { path, offset, size });
        else if (size <= MAX_LIST_BYTES) list = parseList(await textAt(file, offset, size), known.id);
      }
      const dump = list && dumps.get(list.id);
      if (!list || !dump) throw new Fault('conflict', `${path} has no complete backup: it was cut off`);
      return new TarSource(path, file, { list, dump });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(path: string, file: FileHandle, backup: { list: BackupList; dump: Place }) {
    this.path = path;
    this.#file = file;
    this.#backup = backup;
    this.#entries = tarEntries(file);
  }

  ids = async (): Promise<string[]> => [this.#backup.list.id];
  list = async (): Promise<BackupList> => this.#backup.list;
  dump = async (): Promise<Place> => this.#backup.dump;

  async content(digest: string): Promise<Place | undefined> {
    const wanted = contentPath(digest);
    const isBefore = (path: string) => !path.startsWith('blobs/') || path < wanted;
    while (!this.#next || isBefore(this.#next.path)) {
      const { value, done } = await this.#entries.next();
      if (done) return undefined;
      this.#next = value;
    }
    const { path, offset, size } = this.#next;
    return path === wanted ? { path: this.path, offset, size } : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function textAt(file: FileHandle, offset: number, size: number): Promise<string> {
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0, size, offset);
  return bytes.toString('utf8');
}
