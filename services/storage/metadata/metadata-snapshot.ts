import type { DatabaseReader } from './database.ts';

/** All records at one instant. Later changes are not seen. Dispose of it: it keeps old values on the disk. */
export class MetadataSnapshot implements AsyncDisposable {
  readonly #level: DatabaseReader;
  readonly #snapshot: ReturnType<DatabaseReader['snapshot']>;
  readonly #failing: (error: unknown) => unknown;

  /** @param failing maps errors of reads */
  constructor(level: DatabaseReader, failing: (error: unknown) => unknown) {
    this.#level = level;
    this.#failing = failing;
    this.#snapshot = level.snapshot();
  }

  /** In the order of keys: `[key, JSON of the value]`. */
  async *texts(): AsyncGenerator<[key: string, json: string]> {
    const options = { snapshot: this.#snapshot, valueEncoding: 'utf8' };
    try {
      for await (const [key, json] of this.#level.iterator<string, string>(options)) yield [key, json];
    } catch (error) {
      throw this.#failing(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#snapshot.close();
  }
}
