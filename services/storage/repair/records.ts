import { Level } from 'level';
import type { Change } from '../metadata/changes.ts';

/** What `level` does not declare, of the database that it is in Node. */
type Compactable = { compactRange(first: string, last: string): Promise<void> };

/** Behind each key. */
const LAST_KEY = '\u{10ffff}';

/** The records that are being repaired: what is written is read again at once, and is on the disk when they are closed. */
export class Records implements AsyncDisposable {
  readonly #db: Level<string, unknown>;

  static async open(folder: string): Promise<Records> {
    const db = new Level<string, unknown>(folder, { valueEncoding: 'json' });
    await db.open();
    // LevelDB's repair puts all tables at level 0 under the numbers that they had. A lookup there asks the table with
    // the highest number first and stops at the first hit, and an older value may have a higher number. A compaction
    // goes by sequences: it leaves only the newest of each key.
    await (db as unknown as Compactable).compactRange('', LAST_KEY);
    return new Records(db);
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

  /** Of a kind, or of what a key begins with: `[the rest of the key, the value]`. Sees nothing that is written meanwhile. */
  async *entries<T>(prefix: string): AsyncGenerator<[rest: string, value: T]> {
    for await (const [key, value] of this.#db.iterator(rangeOf(prefix))) {
      yield [key.slice(prefix.length), value as T];
    }
  }

  /** All of them, with values as they are stored. */
  async *texts(): AsyncGenerator<[key: string, text: string]> {
    for await (const entry of this.#db.iterator<string, string>({ valueEncoding: 'utf8' })) yield entry;
  }

  async any(prefix: string): Promise<boolean> {
    for await (const _ of this.#db.keys({ ...rangeOf(prefix), limit: 1 })) return true;
    return false;
  }

  /** @returns how many there were */
  async clear(prefix: string): Promise<number> {
    let count = 0;
    for await (const _ of this.#db.keys(rangeOf(prefix))) count += 1;
    await this.#db.clear(rangeOf(prefix));
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.close();
  }

  /** Brings all that was written to the disk. */
  async sync(last: Change[]): Promise<void> {
    await this.#db.batch(last as never, { sync: true } as object);
  }
}

/** The character behind `!` ends the range of what begins with the prefix. */
const rangeOf = (prefix: string) => ({ gt: prefix, lt: `${prefix.slice(0, -1)}"` });
