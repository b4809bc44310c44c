import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { type Examined, examine } from '../../../services/storage/leveldb/examine.ts';
import type { MayLack } from '../../../services/storage/leveldb/log-verdict.ts';
import type { WriteBatch } from '../../../services/storage/leveldb/write-batch.ts';
import { mayBeUnsynced } from '../../../services/storage/metadata/batch-changes.ts';

export const isSynced = ({ changes }: WriteBatch): boolean =>
  changes.some((change) => !mayBeUnsynced(change));

export const examineFolder = (folder: string, mayLack: MayLack): Promise<Examined> =>
  examine(folder, { mayLack, isSynced });

export type Batch = { sync: boolean; entries: [key: string, value: unknown][] };

/** A LevelDB whose process was killed: some tables, and a log with the later batches. */
export class KilledDatabase implements AsyncDisposable {
  readonly #root: string;
  readonly folder: string;

  static async make(tabled: Batch[], logged: Batch[]): Promise<KilledDatabase> {
    const root = await mkdtemp(join(tmpdir(), 'terrace-leveldb-'));
    const db = new Level<string, unknown>(join(root, 'live'), { valueEncoding: 'json' });
    const write = async ({ sync, entries }: Batch) =>
      db.batch(
        entries.map(([key, value]) => ({ type: 'put' as const, key, value })),
        { sync } as object,
      );
    for (const batch of tabled) await write(batch);
    if (tabled.length > 0)
      await (db as unknown as { compactRange(a: string, b: string): Promise<void> }).compactRange('', '~');
    for (const batch of logged) await write(batch);
    await cp(join(root, 'live'), join(root, 'killed'), { recursive: true });
    await db.close();
    return new KilledDatabase(root);
  }

  constructor(root: string) {
    this.#root = root;
    this.folder = join(root, 'killed');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#root, { recursive: true, force: true });
  }

  async file(ending: RegExp): Promise<string> {
    const names = (await readdir(this.folder)).filter((name) => ending.test(name)).sort();
    return join(this.folder, names.at(-1) as string);
  }

  /** Runs `work` on the database with one of its files changed. */
  async with<T>(
    path: string,
    change: (bytes: Buffer) => Buffer | undefined,
    work: (folder: string) => Promise<T>,
  ): Promise<T> {
    const before = await readFile(path);
    const after = change(Buffer.from(before));
    if (after) await writeFile(path, after);
    else await rm(path);
    try {
      return await work(this.folder);
    } finally {
      await writeFile(path, before);
    }
  }
}
