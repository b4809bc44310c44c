import { constants, existsSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';
import { Fault } from '#proto/contract/fault.ts';
import { type Examined, examine } from '../leveldb/examine.ts';
import type { WriteBatch } from '../leveldb/write-batch.ts';
import { bootId } from './boot.ts';
import { type Change, isNoted, set } from './changes.ts';
import { damaged, gone, isUnreadable, sorted, unusable } from './database-faults.ts';
import { keys } from './keys.ts';
import { hasContent, mayLack, openingOf, readState, syncFolder, writeState } from './metadata-state.ts';

export type Reading = Pick<Level<string, unknown>, 'getMany' | 'iterator' | 'keys'>;

/** LevelDB, opened only where all that was stored in it can be read, and closed so that the next opening knows. */
export class Database {
  /** To read from; errors go through `failing`. */
  readonly level: Reading;
  /** Of the machine, at the opening. */
  readonly boot: string;
  readonly #folder: string;
  readonly #level: Level<string, unknown>;
  readonly #failure = Promise.withResolvers<never>();
  #failed: unknown;
  readonly #underWay = new Set<Promise<unknown>>();
  #closing = false;

  /**
   * @param deadline until when another process that has the folder open is waited for, in ms since 1970
   * @throws Fault `volume-unusable` where opening it again would not help
   */
  static async open(folder: string, deadline: number): Promise<Database> {
    for (;;) {
      const boot = await bootId();
      // Another one may have opened it since it was found free.
      const level = (await isFree(folder)) && (await opened(folder, boot));
      if (level) return new Database(folder, level, boot);
      if (Date.now() >= deadline) {
        throw new Error(
          `another storage service uses this data volume (${folder} is locked): stop it, or give this one a data volume of its own`,
        );
      }
      await sleep(200);
    }
  }

  private constructor(folder: string, level: Level<string, unknown>, boot: string) {
    this.#folder = folder;
    this.#level = level;
    this.level = level;
    this.boot = boot;
    this.#failure.promise.catch(() => {});
  }

  /**
   * Rejects when a write failed, or something stored can't be read. After a write that failed, nobody can tell what of
   * it is on the disk, and what LevelDB would append after it might be lost: nothing more is written, and only opening
   * it again shows what is true.
   */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  /** @param sync on the disk when it returns */
  async batch(changes: Change[], sync: boolean): Promise<void> {
    if (this.#failed) throw this.#failed;
    if (this.#closing) throw new Fault('unavailable', 'storage is ending: ask again');
    const writing = this.#write(changes, sync).finally(() => this.#underWay.delete(writing));
    this.#underWay.add(writing);
    await writing;
  }

  /** What to throw for an error of reading. */
  failing(error: unknown): unknown {
    if (isUnreadable(error)) this.#fail(error);
    return sorted(error);
  }

  /** When it returns, all that was written is on the disk, and the next opening relies on that. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.allSettled(this.#underWay);
    if (!this.#failed) {
      // Brings all before it to the disk. Where it fails, the next opening counts on less.
      await this.#write([set(keys.boot, this.boot)], true)
        .then(() => openingOf(this.#folder))
        .then((opening) => writeState(this.#folder, { boot: this.boot, closed: true, made: true, opening }))
        .catch(() => {});
    }
    await this.#level.close();
  }

  /** Closed as it is: nothing is written into what another version wrote. */
  async abandon(): Promise<void> {
    await this.#level.close();
  }

  async #write(changes: Change[], sync: boolean): Promise<void> {
    try {
      await this.#level.batch(changes as never, { sync });
    } catch (error) {
      const fault = sorted(error);
      if (!Fault.is(fault, 'unavailable')) this.#fail(fault);
      throw fault;
    }
  }

  #fail(error: unknown): void {
    this.#failed ??= error;
    this.#failure.reject(error);
  }
}

/** Whether nobody has it open. Asks for what LevelDB refuses as soon as it has the lock: nothing is changed. */
export async function isFree(folder: string): Promise<boolean> {
  // Asking makes the folder where it is missing.
  if (!existsSync(folder)) return true;
  const probe = new Level(folder, { createIfMissing: false, errorIfExists: true });
  try {
    await probe.open();
    await probe.close();
    return true;
  } catch (error) {
    return !isLocked(error);
  }
}

const isLocked = (error: unknown): boolean =>
  ((error as Error).cause as { code?: string } | undefined)?.code === 'LEVEL_LOCKED';

export type Looked = Pick<Examined, 'empty' | 'findings'> & {
  /** There were metadata, and there are none any more. */
  missing: boolean;
};

/** What is damaged of metadata that nobody has open. @param boot of the machine, now */
export async function lookAt(folder: string, boot: string): Promise<Looked> {
  const state = await readState(folder);
  const lacking = mayLack(state, boot, await openingOf(folder));
  const { empty, findings } = await examine(folder, { mayLack: lacking, isSynced });
  const missing = empty && (state ? state.made : await hasContent(folder));
  return { empty, findings, missing };
}

/** Undefined where another one has it open. */
async function opened(folder: string, boot: string): Promise<Level<string, unknown> | undefined> {
  const volume = dirname(folder);
  try {
    const { empty, findings, missing } = await lookAt(folder, boot);
    if (findings.length > 0 || missing) {
      // One that was opened meanwhile changes while it is looked at.
      if (!(await isFree(folder))) return undefined;
      throw findings.length > 0 ? damaged(volume, findings) : gone(volume);
    }
    // Before anything is written: what is not closed in good order is not taken for closed.
    const opening = await openingOf(folder);
    await writeState(folder, { boot, closed: false, made: !empty, opening });
    const level = new Level<string, unknown>(folder, { valueEncoding: 'json' });
    await level.open();
    if (empty) await syncFolder(folder);
    await writeState(folder, { boot, closed: false, made: true, opening: await openingOf(folder) });
    return level;
  } catch (error) {
    if (isLocked(error)) return undefined;
    const { cause } = error as Error;
    if ((cause as { code?: string } | undefined)?.code === 'LEVEL_CORRUPTION') {
      throw damaged(volume, [{ file: 'LevelDB', what: (cause as Error).message }]);
    }
    const why =
      cause === undefined
        ? error
        : await access(folder, constants.W_OK).then(
            () => cause,
            (denied) => denied,
          );
    throw unusable(volume, why);
  }
}

const isSynced = ({ changes }: WriteBatch): boolean => changes.some((change) => !isNoted(change));
