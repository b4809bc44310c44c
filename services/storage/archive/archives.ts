import type { Static } from '@sinclair/typebox';
import {
  archiveExported,
  type archiveProgress,
  type exportArchive,
  type forgetArchive,
  type ImportResult,
  type importArchive,
  type listArchives,
} from '#proto/archive/archives.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { Exchange } from '#proto/document/exchanges.ts';
import { type Metadata, put } from '../metadata/metadata.ts';
import { ArchiveRun } from './book/archive-run.ts';
import type { ArchiveConfiguration, ArchiveSettings } from './book/archive-settings.ts';
import { PeerBook, type PeerDeps } from './book/peer-book.ts';
import { type ExportDeps, exportSet } from './export/export-set.ts';
import type { PageLimits } from './import/found-sets.ts';
import { importFolder } from './import/import-folder.ts';
import type { ImportDeps } from './import/import-set.ts';
import type { MoveRules } from './import/move-tags.ts';
import { exchangeRules, keysByHand, rulesByHand } from './import/sender-rules.ts';
import { bookOf } from './listed-book.ts';

/*
 * Archives: export and import of content as files, for layers that never meet.
 *
 *   archives.ts      one export or import at a time; what the bus asks for
 *   listed-book.ts   the book, for people
 *   book/            other sides, and what each was sent: records in the metadata; versions of tags; progress
 *   export/          writes a set: selected-content.ts reads what the tags consist of, part-file.ts writes a part
 *   import/          reads sets: needed-content.ts finds what the layer lacks, verify-parts.ts verifies, then
 *                    commit-content.ts stores, and move-tags.ts moves all tags
 *
 *   parity/          slices from which lost parts are computed again
 *
 * Both run on the data volume alone, without the bus. The format is in proto/archive/list.ts.
 */

export type ArchivesDeps = Omit<ExportDeps & ImportDeps, 'book' | 'layer'> &
  Omit<PeerDeps, 'metadata'> & { archiveSettings: ArchiveSettings };

export class Archives {
  readonly #deps: ExportDeps & ImportDeps;
  readonly #settings: ArchiveSettings;
  readonly #metadata: Metadata;
  readonly #book: PeerBook;
  #run: ArchiveRun | undefined;

  constructor(deps: ArchivesDeps) {
    this.#book = new PeerBook(deps);
    this.#metadata = deps.metadata;
    this.#settings = deps.archiveSettings;
    const { layer } = this.#settings;
    this.#deps = { ...deps, layer, book: this.#book };
  }

  export(query: Static<typeof exportArchive.query>): Promise<Static<typeof exportArchive.reply>> {
    const { audit, publish } = this.#deps;
    return this.#alone((run) =>
      audit.change(
        { action: 'archive/export', subject: query.target ?? 'default' },
        async () => {
          const done = await exportSet(this.#deps, run, query);
          if (done.set) publish(archiveExported, done.set);
          return done;
        },
        ({ set }) => (set ? { ...set } : { written: false }),
      ),
    );
  }

  /**
   * For a person.
   * @param rules for senders that no exchange names; the others are held to the same as in their inbox
   * @param page sets that are imported at a time
   */
  import(
    { conflict, keyFiles, ...query }: Static<typeof importArchive.query>,
    rules: MoveRules = {
      ...{ side: 'child', mode: 'ReadWrite', arrived: false },
      conflict: () => conflict ?? 'parent-wins',
    },
    page?: PageLimits,
  ): Promise<Static<typeof importArchive.reply>> {
    const { current } = this.#settings;
    const files = [...new Set([...current.keyFiles, ...keyFiles])];
    const keys = { files, bySender: keysByHand(current) };
    const rulesOf = rulesByHand(current, rules, conflict);
    return this.#alone((run) =>
      importFolder(this.#deps, run, { ...query, keys, rulesOf, ...(page && { page }) }),
    );
  }

  /**
   * For an exchange, from its inbox.
   * @param selections of this layer
   * @param onResult is called after each set that is imported, or is not: several of a sender if the folder has many
   */
  importFrom(
    folder: string,
    exchange: Exchange,
    selections: Configuration['repositories'],
    onResult: (result: ImportResult) => Promise<void>,
  ): Promise<Static<typeof importArchive.reply>> {
    const { layer, keyFiles } = this.#settings.current;
    const { peer, verifyKeyFiles: own } = exchange;
    const keys = { files: own.length > 0 ? own : keyFiles };
    const rules = exchangeRules(exchange, selections);
    const scope = { sender: peer, target: layer };
    const query = { folder, dryRun: false, keys, scope, rulesOf: () => rules };
    return this.#alone((run) => importFolder(this.#deps, run, query, onResult));
  }

  /** Takes effect at the next import. */
  configure(configuration: ArchiveConfiguration): Promise<void> {
    return this.#settings.configure(configuration);
  }

  async progress(): Promise<Static<typeof archiveProgress.reply>> {
    return this.#run ? { running: this.#run.progress } : {};
  }

  /** Stops the run, if there is one. */
  stop(): void {
    this.#run?.stop();
  }

  list(target: string | undefined): Promise<Static<typeof listArchives.reply>> {
    return bookOf(this.#metadata, target);
  }

  forget({
    target,
    number,
  }: Static<typeof forgetArchive.query>): Promise<Static<typeof forgetArchive.reply>> {
    const { audit } = this.#deps;
    const subject = number === undefined ? target : `${target} ${number}`;
    return this.#alone(() =>
      audit.change({ action: 'archive/forget', subject }, async () => ({
        content:
          number === undefined ? await this.#forgetPeer(target) : await this.#forgetSet(target, number),
      })),
    );
  }

  async #forgetPeer(target: string): Promise<number> {
    if (await this.#metadata.peer(target)) return this.#book.forgetPeer(target);
    throw new Fault(
      'archive-invalid',
      `the book has nothing about ${target}: "terrace export list" lists it`,
    );
  }

  async #forgetSet(target: string, number: number): Promise<number> {
    const set = await this.#metadata.archiveSet(target, number);
    if (!set) {
      throw new Fault(
        'archive-invalid',
        `the book has no set ${number} for ${target}: "terrace export list" lists all`,
      );
    }
    const content = await this.#book.forgetCarried(target, (carrier) => carrier === number);
    await this.#metadata.write(put.archiveSet(target, number, { ...set, forgotten: true }));
    return content;
  }

  async #alone<T>(work: (run: ArchiveRun) => Promise<T>): Promise<T> {
    if (this.#run) throw new Fault('busy', 'another export or import is running: wait until it ends');
    const run = new ArchiveRun();
    this.#run = run;
    try {
      return await work(run);
    } finally {
      this.#run = undefined;
    }
  }
}
