import type { Change } from './batch-changes.ts';

/** Approximate number of changes per batch. */
const BATCH = 1_000;

type ChangeWriter = { write(changes: Change[]): Promise<void> };

/** Writes changes in batches, so that any number of them fits in memory. Events are published after their changes. */
export class ChangeBatches {
  readonly #records: ChangeWriter;
  #changes: Change[] = [];
  #publishers: (() => void)[] = [];

  constructor(records: ChangeWriter) {
    this.#records = records;
  }

  async add(changes: Change[], publish?: () => void): Promise<void> {
    for (const change of changes) this.#changes.push(change);
    if (publish) this.#publishers.push(publish);
    if (this.#changes.length >= BATCH) await this.end();
  }

  async end(): Promise<void> {
    const [changes, publishers] = [this.#changes, this.#publishers];
    [this.#changes, this.#publishers] = [[], []];
    await this.#records.write(changes);
    for (const publish of publishers) publish();
  }
}
