import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Level } from 'level';
import { GroupCommit } from '#proto/async/group-commit.ts';
import { Fault } from '#proto/contract/fault.ts';
import { examineTables } from '../leveldb/examine.ts';
import { type Change, set } from './batch-changes.ts';
import { bootIdOrRandom } from './boot.ts';
import { asFault, damaged, isUnreadable } from './database-faults.ts';
import { keys } from './keys.ts';
import { openingOf, writeState } from './metadata-state.ts';
import { isFree, type Opened, openLevel } from './open-level.ts';

export type DatabaseReader = Pick<Level<string, unknown>, 'iterator' | 'keys' | 'snapshot'>;

type Snapshot = ReturnType<DatabaseReader['snapshot']>;

/** Max records that are read without a switch of threads. */
const MAX_READ_AT_ONCE = 16;
/** Max batches that are written, and synced, as one. */
const MAX_GROUP = 256;

type Batch = { changes: Change[]; sync: boolean };

/** Part of the time for which the examination of the other tables uses a processor. */
const EXAMINATION_SHARE = 1 / 4;

/** LevelDB. Opened only if what is stored in it is readable; a clean close is recorded for the next opening. */
export class Database {
  /** For reads. Pass their errors through `failing`. */
  readonly level: DatabaseReader;
  /** Boot id of the machine at the opening. */
  readonly boot: string;
  readonly #folder: string;
  readonly #level: Level<string, unknown>;
  readonly #failure = Promise.withResolvers<never>();
  #failed: unknown;
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #group = new GroupCommit<Batch>((batches) => this.#writeGroup(batches), MAX_GROUP);
  /** Not all tables were read at the opening. */
  readonly #partial: boolean;
  #closing = false;

  /**
   * @param deadline until when to wait for another process that has the folder open, by `performance.now()`
   * @throws Fault `volume-unusable` if a retry would not help; an Error if the folder is still locked at the deadline
   */
  static async open(folder: string, deadline: number): Promise<Database> {
    for (;;) {
      const boot = await bootIdOrRandom();
      // Another process may open it between the check and this opening.
      const opened = (await isFree(folder)) && (await openLevel(folder, boot));
      if (opened) return new Database(folder, opened, boot);
      if (performance.now() >= deadline) {
        throw new Error(
          `another storage service uses this data volume (${folder} is locked): stop it, or use another data volume`,
        );
      }
      await sleep(200);
    }
  }

  private constructor(folder: string, { level, partial }: Opened, boot: string) {
    this.#folder = folder;
    this.#level = level;
    this.#partial = partial;
    this.level = level;
    this.boot = boot;
    this.#failure.promise.catch(() => {});
  }

  /**
   * Rejects when a write failed or stored data is damaged. After a failed write it is unknown how much of it is on
   * disk, and anything that LevelDB appends after it might be lost: nothing more is written, and only reopening shows
   * the true state.
   */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  /**
   * Reads the tables that the opening did not read. If one is damaged, `failure` rejects with the fault with which an
   * opening is refused. Resolves when all are read, or when the signal aborts.
   */
  async examineRest(signal: AbortSignal): Promise<void> {
    if (!this.#partial) return;
    const pause = async (ms: number) => {
      await sleep(ms * (1 / EXAMINATION_SHARE - 1), undefined, { signal });
    };
    try {
      const findings = await examineTables(this.#folder, pause);
      if (findings.length > 0) this.#fail(damaged(dirname(this.#folder), findings));
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /**
   * Writes a batch: atomic, and after all that were requested before. Batches that are requested while another one is
   * being written are written as one.
   * @param sync synced when it resolves
   */
  async batch(changes: Change[], sync: boolean): Promise<void> {
    if (this.#failed) throw this.#failed;
    if (this.#closing) throw new Fault('unavailable', 'storage is shutting down: try again');
    const writing = this.#group.add({ changes, sync }).finally(() => this.#inFlight.delete(writing));
    this.#inFlight.add(writing);
    await writing;
  }

  /**
   * Reads records, undefined for those that do not exist. A few are read at once: that takes microseconds, a switch of
   * threads ten times as long, and the threads may all wait for the disk. Pass its errors through `failing`.
   */
  async getMany(keys: string[], snapshot?: Snapshot): Promise<unknown[]> {
    if (keys.length <= MAX_READ_AT_ONCE) return this.getNow(keys, snapshot);
    return this.#level.getMany(keys, snapshot ? { snapshot } : {});
  }

  /** The same at this instant: what was written before, and nothing that is written later. For a few records. */
  getNow(keys: string[], snapshot?: Snapshot): unknown[] {
    const options = snapshot ? { snapshot } : {};
    return keys.map((key) => this.#level.getSync(key, options));
  }

  /** The error to throw for a failed read. */
  failing(error: unknown): unknown {
    if (isUnreadable(error)) this.#fail(error);
    return asFault(error);
  }

  /** When it resolves, everything written is synced; the next opening relies on that. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.allSettled(this.#inFlight);
    if (!this.#failed) {
      // Syncs everything before it. If it fails, the next opening does not rely on a clean close.
      await this.#write([set(keys.boot, this.boot)], true)
        .then(() => openingOf(this.#folder))
        .then((opening) => writeState(this.#folder, { boot: this.boot, closed: true, made: true, opening }))
        .catch(() => {});
    }
    await this.#level.close();
  }

  /** Closes without a write, for metadata of another version. */
  async abandon(): Promise<void> {
    await this.#level.close();
  }

  async #writeGroup(batches: Batch[]): Promise<void> {
    // A write that failed in the meantime may have left anything: see `failure`.
    if (this.#failed) throw this.#failed;
    await this.#write(
      batches.flatMap(({ changes }) => changes),
      batches.some(({ sync }) => sync),
    );
  }

  async #write(changes: Change[], sync: boolean): Promise<void> {
    try {
      await this.#level.batch(changes as never, { sync });
    } catch (error) {
      const fault = asFault(error);
      if (!Fault.is(fault, 'unavailable')) this.#fail(fault);
      throw fault;
    }
  }

  #fail(error: unknown): void {
    this.#failed ??= error;
    this.#failure.reject(error);
  }
}
