import type { ImportResult } from '#proto/archive/archives.ts';
import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { ExchangeStatus } from '#proto/status/archive-exchange.ts';
import type { AnsweringFolders } from './answering-folders.ts';
import { FolderFailure } from './folder-failure.ts';
import { deleteSets, listFolder } from './folder-listing.ts';
import type { LastImport } from './last-import.ts';

/** After a failure that is not due to what is in the folder. */
const RETRY = { firstMs: 30_000, maxMs: 30 * 60_000 };

type InboxStatus = NonNullable<ExchangeStatus['inbox']>;

export type InboxDeps = {
  folder: string;
  answering: Pick<AnsweringFolders, 'mustAnswer'>;
  /**
   * Imports the newest set for this layer that the folder has of each sender that counts.
   * @param onResult is called after each set that is imported, or is not
   */
  importSets: (
    onResult: (result: ImportResult) => Promise<void>,
  ) => Promise<{ results: ImportResult[]; unusable: string[] }>;
  /** The last set of the other side that was imported. */
  last: () => Promise<LastImport | undefined>;
  /** The other side has to be answered: something was imported, or is asked for again. */
  onNews: () => void;
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
};

/**
 * The folder in which archives of another layer arrive. It is polled, as file systems on networks and removable disks
 * notify nobody. A set is imported once two polls in a row have found the same files; one that is refused is tried
 * again when the files change. Sets that were imported are deleted.
 */
export class Inbox {
  readonly #deps: InboxDeps;
  /** Of the last poll. */
  #seen: string | undefined;
  /** Of the last poll whose files were examined. */
  #examined: string | undefined;
  #failures = 0;
  #retryAt = 0;
  readonly #failure: FolderFailure;
  #status: Omit<InboxStatus, 'failure'>;

  constructor(deps: InboxDeps) {
    this.#deps = deps;
    this.#failure = new FolderFailure(deps, 'no archive can be imported');
    this.#status = { folder: deps.folder };
  }

  get status(): InboxStatus {
    return { ...this.#status, ...this.#failure.field };
  }

  async poll(): Promise<void> {
    await this.#poll();
    // A person may have imported a set of it, too.
    const last = await this.#deps.last();
    if (last) this.#status = { ...this.#status, last };
  }

  /** Notes a folder that does not answer. @returns whether it does */
  async answers(): Promise<boolean> {
    if (await this.#failure.answers()) return true;
    this.#seen = undefined;
    this.#examined = undefined;
    return false;
  }

  async #poll(): Promise<void> {
    const { folder, now } = this.#deps;
    if (!(await this.answers())) return;
    let listing: Awaited<ReturnType<typeof listFolder>>;
    try {
      listing = await listFolder(folder);
    } catch (error) {
      const { code = 'unknown' } = error as NodeJS.ErrnoException;
      this.#seen = undefined;
      // What is there later is examined again, or this failure would stay.
      this.#examined = undefined;
      this.#failure.note(
        `${folder} can't be read (${code}): mount the disk, or create the folder for the layer's account`,
      );
      return;
    }
    const { fingerprint, hasList } = listing;
    const isStable = fingerprint === this.#seen;
    this.#seen = fingerprint;
    if (!hasList) {
      this.#examined = fingerprint;
      this.#failure.clear();
      return;
    }
    if (!isStable || (fingerprint === this.#examined && (this.#failures === 0 || now() < this.#retryAt)))
      return;
    await this.#import(fingerprint);
  }

  async #import(fingerprint: string): Promise<void> {
    const { folder, importSets, log } = this.#deps;
    try {
      const { results, unusable } = await importSets((result) => this.#take(result));
      this.#examined = fingerprint;
      this.#failures = 0;
      const problems = [...results.flatMap(({ problems: some }) => some), ...unusable];
      if (problems.length > 0) this.#failure.note(problems.join('; '));
      else this.#failure.clear();
    } catch (err) {
      if (!Fault.is(err)) log.error({ err, folder }, 'archives could not be imported');
      // A run that somebody else has started is over by the next poll.
      if (Fault.is(err, 'busy')) return;
      this.#examined = fingerprint;
      this.#failures += 1;
      this.#retryAt = this.#deps.now() + backoffMs(this.#failures, RETRY);
      this.#failure.note(Fault.is(err) ? err.message : 'the import failed: see the log; it is tried again');
    }
  }

  async #take(result: ImportResult): Promise<void> {
    const { folder, onNews, log } = this.#deps;
    const { outcome, sender, target, number, content, bytes, missing, tags, news } = result;
    if (outcome === 'imported') {
      log.info({ folder, sender, number, content, bytes, ...tags, notice: true }, 'archive imported');
    }
    if ((outcome === 'imported' && news) || (outcome === 'refused' && missing.length > 0)) onNews();
    if (outcome === 'refused') return;
    // On a disk that is mounted read-only, they stay, and are known.
    await deleteSets(folder, { sender, target, upTo: number }).catch((err) =>
      log.debug({ err, folder }, 'imported archives can not be deleted'),
    );
  }
}
