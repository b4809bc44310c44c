import type { Database } from './database.ts';
import { MetadataReader } from './metadata-reader.ts';

/** Reads records as they were at one instant. Dispose of it: until then, LevelDB keeps what was replaced since. */
export class SnapshotReader extends MetadataReader implements AsyncDisposable {
  readonly #database: Database;
  readonly #snapshot: ReturnType<Database['level']['snapshot']>;

  constructor(database: Database) {
    const { level } = database;
    const snapshot = level.snapshot();
    const iterator = ((options: object) => level.iterator({ ...options, snapshot })) as typeof level.iterator;
    const keys = ((options: object) => level.keys({ ...options, snapshot })) as typeof level.keys;
    super({
      level: { iterator, keys, snapshot: () => level.snapshot() },
      getMany: (names) => database.getMany(names, snapshot),
      getNow: (names) => database.getNow(names, snapshot),
      failing: (error) => database.failing(error),
    });
    this.#database = database;
    this.#snapshot = snapshot;
  }

  /** All records in the order of keys: `[key, JSON of the value]`. */
  async *texts(): AsyncGenerator<[key: string, json: string]> {
    const options = { snapshot: this.#snapshot, valueEncoding: 'utf8' };
    try {
      for await (const [key, json] of this.#database.level.iterator<string, string>(options))
        yield [key, json];
    } catch (error) {
      throw this.#database.failing(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#snapshot.close();
  }
}
