import { Fault } from '#proto/contract/fault.ts';
import { METADATA_VERSION, MIN_METADATA_VERSION } from '#proto/volume/metadata-version.ts';
import { type Change, set } from './batch-changes.ts';
import { type Counters, RecordCounters, type RecordCounts, type StoredCounts } from './counters.ts';
import { Database } from './database.ts';
import { Journal, type JournalEntry } from './journal.ts';
import { type Kind, keys, kindOf, kinds, prefix, rangeOf } from './keys.ts';
import { MetadataReader } from './metadata-reader.ts';
import { markAllUnsent } from './migration.ts';
import { SnapshotReader } from './snapshot-reader.ts';

/*
 * Metadata: the records of storage, in LevelDB. Together with the files of committed blobs they are the truth.
 *
 *   keys.ts, records.ts   all keys, and the records stored under them
 *   metadata-reader.ts    reads of records, by key and by range
 *   batch-changes.ts      builds the changes of a batch; which of them need no sync
 *   open-level.ts         LevelDB: checks at opening (metadata-state.ts, boot.ts)
 *   database.ts           LevelDB: batches in groups, reads, clean close
 *   snapshot-reader.ts    all records at one instant, also for a backup
 *   journal.ts            the journal of changes for children
 *   counters.ts           counters for the status, and what of them is stored
 *
 * A change is built with `put` and `drop`; `write` stores a batch of them, and their entries of the journal, atomically
 * and synced. After a failed write or an unreadable record, `failure` rejects and storage must be reopened.
 */

/** Version without stored counters. */
const BEFORE_COUNTERS = 4;
/** Version in which a child that an index leaves out has a platform only, and content no clock of its own. */
const BEFORE_REASONS = 3;
/** Version without a journal. */
const BEFORE_JOURNAL = 2;
/** Version without records of outgoing changes. */
const BEFORE_OUTGOING = MIN_METADATA_VERSION;
const SUPPORTED = [
  undefined,
  METADATA_VERSION,
  BEFORE_COUNTERS,
  BEFORE_REASONS,
  BEFORE_JOURNAL,
  BEFORE_OUTGOING,
];

export { type Change, drop, put } from './batch-changes.ts';

/** Writes synced batches. */
export interface BatchWriter {
  write(changes: Change[]): Promise<void>;
}

/** Metadata that is written, also unsynced. */
export interface MetadataWriter extends BatchWriter {
  writeUnsynced(changes: Change[]): Promise<void>;
}

/** Typed access to all records: reads, ranges in the order of keys, batches. */
export class Metadata extends MetadataReader implements MetadataWriter, RecordCounts, AsyncDisposable {
  readonly #database: Database;
  readonly #counters = new RecordCounters();
  /** The stored counters, once all batches that were requested are written. */
  #stored: StoredCounts = {};
  #journal = new Journal(1, 0);
  /** The machine was rebooted since the last opening: unsynced writes may be missing. */
  readonly afterReboot: boolean;
  /** Called after each batch that changed targets or bases of tags, with their `<repository>!<tag>`. */
  onTags: ((names: ReadonlySet<string>) => void) | undefined;

  /**
   * @param patienceMs how long to wait for another process that has the folder open
   * @throws Fault `volume-unusable`; an Error if another process still has it open
   */
  static async open(folder: string, patienceMs = 10_000): Promise<Metadata> {
    const database = await Database.open(folder, performance.now() + patienceMs);
    const [version, before] = await database.getMany([keys.version, keys.boot]);
    if (!SUPPORTED.includes(version as number)) {
      await database.abandon();
      throw new Fault(
        'volume-unusable',
        `${folder} has metadata version ${version}, this Terrace supports ${METADATA_VERSION}: use the Terrace that wrote it, or run "terrace rollback" for the metadata of before its upgrade`,
      );
    }
    const { boot } = database;
    const metadata = new Metadata(database, before !== boot);
    await metadata.#openJournal();
    const stale = await metadata.#readCounters(version === METADATA_VERSION);
    // The version last: a migration that a crash interrupts runs again.
    if (version === BEFORE_OUTGOING) await markAllUnsent(metadata);
    if (before !== boot || version !== METADATA_VERSION || stale) {
      const counters = stale ? [...stale, set(keys.counters, metadata.#stored)] : [];
      await metadata.write([set(keys.version, METADATA_VERSION), set(keys.boot, boot), ...counters]);
    }
    return metadata;
  }

  private constructor(database: Database, afterReboot: boolean) {
    super(database);
    this.#database = database;
    this.afterReboot = afterReboot;
  }

  /** Reads records as they are at this instant. */
  readerNow(): SnapshotReader {
    return new SnapshotReader(this.#database);
  }

  /** See `Database.examineRest`. */
  examineRest(signal: AbortSignal): Promise<void> {
    return this.#database.examineRest(signal);
  }

  /** Rejects when the metadata cannot be relied on until it is reopened. */
  get failure(): Promise<never> {
    return this.#database.failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database.close();
  }

  get counters(): Counters {
    return this.#counters.counters;
  }

  /** Instant for an outgoing record: later than all before it, even if the clock was set back; in ms since 1970. */
  instant(now: number): number {
    return this.#counters.instant(now);
  }

  /** Entries of the journal that no unfinished batch precedes: `[number, entry]`. */
  async *journal(after: number): AsyncGenerator<[number: number, JournalEntry]> {
    const { head } = this.#journal;
    for await (const [number, entry] of this.range<JournalEntry>(
      prefix(kinds.journalEntry),
      keys.journalEntry(after).slice(2),
    )) {
      if (Number(number) > head) return;
      yield [Number(number), entry];
    }
  }

  /** The last of these entries. */
  async journalEnd(): Promise<[number: number, JournalEntry] | undefined> {
    const range = {
      gt: prefix(kinds.journalEntry),
      lte: keys.journalEntry(this.#journal.head),
      reverse: true,
      limit: 1,
    };
    for await (const [key, entry] of this.#database.level.iterator(range))
      return [Number(key.slice(2)), entry as JournalEntry];
    return undefined;
  }

  /**
   * Writes a batch: atomic, synced when it resolves. Without changes nothing is written.
   * @throws Fault `no-space`
   */
  async write(changes: Change[]): Promise<void> {
    if (changes.length === 0) return;
    // The locks that the caller holds keep others from writing these keys.
    const counted = new Map(
      changes.filter(({ key }) => RecordCounters.counts(key)).map((each) => [each.key, each]),
    );
    const before = await this.many([...counted.keys()]);
    const added = new RecordCounters();
    for (const [key, change] of counted) {
      added.add(key, before.shift(), -1);
      if (change.type === 'put') added.add(key, change.value, 1);
    }
    // From here to the request of the batch nothing is awaited: batches are written in the order of their totals.
    const stored = this.#addStored(added.stored);
    const { entries, close } = this.#journal.add(changes);
    try {
      await this.#database.batch([...changes, ...entries, ...this.#journal.trim(), ...stored], true);
    } finally {
      close();
    }
    this.#counters.merge(added.all);
    if (this.onTags) this.#reportTags(changes, this.onTags);
  }

  #reportTags(changes: Change[], onTags: (names: ReadonlySet<string>) => void): void {
    const names = new Set<string>();
    for (const { key } of changes) {
      const kind = kindOf(key);
      if (kind === kinds.tag || kind === kinds.base) names.add(key.slice(2));
    }
    if (names.size > 0) onTags(names);
  }

  /**
   * Not synced when it resolves: the changes survive the end of this process, but not a power cut. Only for ingests,
   * sessions and records whose loss only causes a delay (`mayBeUnsynced`).
   */
  async writeUnsynced(changes: Change[]): Promise<void> {
    await this.#database.batch(changes, false);
  }

  /**
   * Compares the stored counters with the records, at one instant, and corrects them.
   * @returns the difference; undefined if there is none
   */
  async correctCounters(): Promise<StoredCounts | undefined> {
    const { level } = this.#database;
    const difference = new RecordCounters();
    const snapshot = level.snapshot();
    try {
      for (const kind of RecordCounters.storedKinds)
        for await (const [key, value] of level.iterator({ ...rangeOf(prefix(kind)), snapshot }))
          difference.add(key, value, 1);
      for await (const [, counts] of level.iterator({ ...rangeOf(prefix(kinds.counters)), snapshot }))
        difference.merge(counts as StoredCounts, -1);
    } catch (error) {
      throw this.#database.failing(error);
    } finally {
      await snapshot.close();
    }
    const { latest: _, ...added } = difference.stored;
    if (Object.keys(added).length === 0) return undefined;
    // The batches that were written meanwhile have added what they changed: the difference stays the same.
    await this.#database.batch(this.#addStored(added), true);
    this.#counters.merge(added);
    return added;
  }

  /**
   * Reads the stored counters, or counts the records if these are of a version without, or if none are stored, as after
   * a repair.
   * @returns if they were counted: deletions of what was stored
   */
  async #readCounters(current: boolean): Promise<Change[] | undefined> {
    const records: [string, StoredCounts][] = [];
    for await (const record of this.range<StoredCounts>(prefix(kinds.counters))) records.push(record);
    const [[name, stored] = ['', {}], ...others] = records;
    const isStored = current && prefix(kinds.counters) + name === keys.counters && others.length === 0;
    await this.#count(isStored ? RecordCounters.boundedKinds : RecordCounters.countedKinds);
    this.#stored = isStored ? RecordCounters.storedPart(stored) : this.#counters.stored;
    if (!isStored) return records.map(([key]) => ({ type: 'del', key: prefix(kinds.counters) + key }));
    this.#counters.merge(this.#stored);
    return undefined;
  }

  /** @returns the change of the stored counters that the next requested batch has to write */
  #addStored(added: StoredCounts): Change[] {
    if (Object.keys(added).length === 0) return [];
    this.#stored = RecordCounters.storedPart(this.#stored, added);
    return [set(keys.counters, this.#stored)];
  }

  async #count(of: readonly Kind[]): Promise<void> {
    for (const kind of of)
      for await (const [name, value] of this.range(prefix(kind)))
        this.#counters.add(prefix(kind) + name, value, 1);
  }

  async #openJournal(): Promise<void> {
    const ends: number[] = [];
    for (const reverse of [false, true]) {
      for await (const key of this.#database.level.keys({
        ...rangeOf(prefix(kinds.journalEntry)),
        reverse,
        limit: 1,
      })) {
        ends.push(Number(key.slice(2)));
      }
    }
    this.#journal = new Journal(ends[0] ?? 1, ends[1] ?? 0);
  }
}
