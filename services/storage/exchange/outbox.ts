import { Cron } from 'croner';
import type { ExportedSet } from '#proto/archive/archives.ts';
import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { ExchangeStatus } from '#proto/status/archive-exchange.ts';
import type { AnsweringFolders } from './answering-folders.ts';
import { FolderFailure } from './folder-failure.ts';
import { deleteSets } from './folder-listing.ts';

/** After a failure: the disk may be mounted any time. */
const RETRY = { firstMs: 20_000, maxMs: 5 * 60_000 };

type OutboxStatus = NonNullable<ExchangeStatus['outbox']>;

export type OutboxDeps = {
  folder: string;
  answering: Pick<AnsweringFolders, 'mustAnswer'>;
  /** Cron, five fields, UTC. */
  schedule: string;
  /** Name of this layer. */
  layer: string;
  /** Name of the other layer. */
  peer: string;
  /** Writes a set, if anything has changed or `always`. */
  exportSet: (always: boolean) => Promise<{ set?: ExportedSet; last?: number }>;
  /** Number of the last set that the other layer has imported; 0: none. */
  acknowledged: () => Promise<number>;
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
};

/**
 * The folder to which this layer writes its archives. Sets that the other layer has acknowledged are deleted; until
 * then they stay, so that a copy that was lost can be made again.
 */
export class Outbox {
  readonly #deps: OutboxDeps;
  #due: number;
  #failures = 0;
  #hasNews = false;
  readonly #failure: FolderFailure;
  #status: Omit<OutboxStatus, 'failure'>;

  constructor(deps: OutboxDeps, last?: OutboxStatus['last']) {
    this.#deps = deps;
    this.#due = this.#next();
    this.#failure = new FolderFailure(deps, 'no archive can be written');
    this.#status = { folder: deps.folder, ...(last && { last }) };
  }

  get status(): OutboxStatus {
    return { ...this.#status, ...this.#failure.field };
  }

  /** The next set is written even if no tag has changed: it carries what the other layer has to know. */
  onNews(): void {
    this.#hasNews = true;
  }

  async poll(): Promise<void> {
    const { now } = this.#deps;
    // The clock may have been set back.
    this.#due = Math.min(this.#due, this.#next());
    if (now() >= this.#due) await this.#export();
  }

  /** Notes a folder that does not answer. @returns whether it does */
  answers(): Promise<boolean> {
    return this.#failure.answers();
  }

  async #export(): Promise<void> {
    // It stays due: it is written once the folder answers.
    if (!(await this.answers())) return;
    const { folder, exportSet, log, now, peer } = this.#deps;
    const hadNews = this.#hasNews;
    this.#hasNews = false;
    try {
      const { set } = await exportSet(hadNews);
      this.#due = this.#next();
      this.#failures = 0;
      this.#failure.clear();
      if (set) {
        log.info({ folder, ...set, notice: true }, 'archive written');
        this.#status = { ...this.#status, last: { number: set.number, at: now(), bytes: set.bytes } };
      }
    } catch (err) {
      this.#hasNews ||= hadNews;
      if (Fault.is(err, 'busy')) return;
      if (!Fault.is(err)) log.error({ err, folder, peer }, 'the archive could not be written');
      this.#failures += 1;
      this.#due = now() + backoffMs(this.#failures, RETRY);
      this.#failure.note(Fault.is(err) ? err.message : 'the export failed: see the log; it is tried again');
    }
    await this.#deleteAcknowledged();
  }

  async #deleteAcknowledged(): Promise<void> {
    const { folder, layer, peer, log } = this.#deps;
    const acknowledged = await this.#deps.acknowledged();
    if (acknowledged === 0) return;
    this.#status = { ...this.#status, acknowledged };
    await deleteSets(folder, { sender: layer, target: peer, upTo: acknowledged }).catch((err) =>
      log.debug({ err, folder }, 'acknowledged archives can not be deleted'),
    );
  }

  #next(): number {
    const { schedule, now } = this.#deps;
    const next = new Cron(schedule, { timezone: 'UTC', paused: true }).nextRun(new Date(now()));
    return next?.getTime() ?? Number.MAX_SAFE_INTEGER;
  }
}
