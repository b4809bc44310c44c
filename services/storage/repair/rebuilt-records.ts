import { Level } from 'level';
import type { Change } from '../metadata/batch-changes.ts';

/** A method of the database in Node that `level` does not declare. */
type Compactable = { compactRange(first: string, last: string): Promise<void> };

/** Sorts after every key. */
const LAST_KEY = '\u{10ffff}';

/** The records under repair. Reads see writes at once; `sync` brings all writes to the disk. */
export class RebuiltRecords implements AsyncDisposable {
  readonly #db: Level<string, unknown>;

  static async open(folder: string): Promise<RebuiltRecords> {
    const db = new Level<string, unknown>(folder, { valueEncoding: 'json' });
    await db.open();
    // LevelDB's repair puts all tables at level 0 under their old numbers. A lookup there starts with the table of the
    // highest number and stops at the first hit, and an older value may have a higher number. A compaction compares
    // sequence numbers: it leaves only the newest value of each key.
    await (db as unknown as Compactable).compactRange('', LAST_KEY);
    return new RebuiltRecords(db);
  }

  private constructor(db: Level<string, unknown>) {
    this.#db = db;
  }

  async get<T>(key: string): Promise<T | undefined> {
    return (await this.#db.get(key)) as T | undefined;
  }

  async has(key: string): Promise<boolean> {
    return (await this.#db.get(key)) !== undefined;
  }

  async write(changes: Change[]): Promise<void> {
    if (changes.length > 0) await this.#db.batch(changes as never);
  }

  /** Records of a key prefix, as `[key without the prefix, value]`. Does not see later writes. */
  async *entries<T>(prefix: string): AsyncGenerator<[suffix: string, value: T]> {
    for await (const [key, value] of this.#db.iterator(rangeOf(prefix))) {
      yield [key.slice(prefix.length), value as T];
    }
  }

  /** All records, with their values as stored. */
  async *texts(): AsyncGenerator<[key: string, text: string]> {
    for await (const entry of this.#db.iterator<string, string>({ valueEncoding: 'utf8' })) yield entry;
  }

  async any(prefix: string): Promise<boolean> {
    for await (const _ of this.#db.keys({ ...rangeOf(prefix), limit: 1 })) return true;
    return false;
  }

  /** @returns count of the deleted records */
  async clear(prefix: string): Promise<number> {
    let count = 0;
    for await (const _ of this.#db.keys(rangeOf(prefix))) count += 1;
    await this.#db.clear(rangeOf(prefix));
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.close();
  }

  /** Writes `last` and brings all writes to the disk. */
  async sync(last: Change[]): Promise<void> {
    await this.#db.batch(last as never, { sync: true } as object);
  }
}

/** A prefix ends with `!`; `"`, the successor of `!`, ends its range. */
const rangeOf = (prefix: string) => ({ gt: prefix, lt: `${prefix.slice(0, -1)}"` });
